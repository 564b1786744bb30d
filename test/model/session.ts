import { isDeepStrictEqual } from 'node:util'
import { readCursor } from './log.ts'
import type { Listener, Peer, Service, SocketReader } from './service.ts'
import { query } from './service.ts'
import type { Filter, Kinds, Plain } from './things.ts'

export interface Message {
  readonly type: string
  readonly cursor?: string
  readonly filter?: Filter
  readonly records?: Plain[]
  readonly changes?: Plain[]
  readonly code?: string
  /** Of SSE: the event's own `id`. */
  readonly id?: string | undefined
}

export interface Opening {
  readonly reader: SocketReader
  readonly filter: Filter
  /** A cursor, `now` or `start`. */
  readonly since: string
  readonly snapshot: boolean
  /** Whether the cursor is sent as `Last-Event-ID`. */
  readonly byEventId: boolean
}

/** A text client's command, and the positions between which it took effect. */
export interface Command { readonly kinds: Kinds, readonly from: number, readonly upTo: number }

/** What the log spanned just before and just after the subscription was opened. */
export interface Moment { readonly floor: number, readonly head: number }

const wire = (value: unknown): string => JSON.stringify(value)

/** One subscription as its client sees it: what was asked, and what came, to be checked later. */
export class Session implements Listener {
  readonly opening: Opening
  readonly service: Service
  /** Of JSON and SSE. */
  readonly messages: Message[] = []
  readonly texts: string[] = []
  readonly commands: Command[] = []
  /** Filters that were asked for and not yet answered. */
  readonly requested: Filter[] = []
  readonly requests: Filter[] = []
  before: Moment = { floor: 0, head: 0 }
  after: Moment = { floor: 0, head: 0 }
  /** The close code, or the HTTP status of a refusal. */
  code: number | null = null
  left = false
  lastCursor: string | null = null
  /** The last `id` of SSE. */
  lastEventId = ''
  /** Whether `synced` has come since the beginning, or the last `reset`. */
  synced = false
  /** Whether the records come first, before there is anything to resume. */
  incomplete: boolean
  peer: Peer | null = null
  #starting = false
  #arrived: (() => void) | undefined

  constructor (service: Service, opening: Opening) {
    this.service = service
    this.opening = opening
    this.incomplete = opening.snapshot && opening.since === 'now'
  }

  async open (): Promise<void> {
    const { reader, filter: { filter, where, fields }, since, snapshot, byEventId } = this.opening
    this.before = await this.#moment()
    const peer = await this.service.open(reader, query({
      filter,
      ...(where && { where: wire(where) }),
      ...(fields && { fields: fields.join() }),
      ...(!byEventId && since !== 'now' && { since }),
      ...(snapshot && { snapshot: 'true' })
    }), byEventId ? since : '', this)
    this.after = await this.#moment()
    if (typeof peer === 'number') this.code = peer
    else this.peer = peer
  }

  get isOpen (): boolean {
    return this.code === null && !this.left
  }

  get filter (): Filter {
    return this.requests.at(-1) ?? this.opening.filter
  }

  /** Asks for another filter; `text` is how a text client says it. */
  async refilter (filter: Filter, text: string = filter.filter): Promise<void> {
    this.requests.push(filter)
    if (this.opening.reader === 'json') {
      this.requested.push(filter)
      await this.peer?.send(wire({ type: 'filter', ...filter }))
      return
    }
    const from = this.service.position
    await this.peer?.send(text)
    this.commands.push({ kinds: filter.filter, from, upTo: this.service.position })
  }

  message (text: string): void {
    if (this.left) return
    if (this.opening.reader === 'text') this.texts.push(text)
    else this.#hear(this.opening.reader === 'sse' ? this.#event(text) : JSON.parse(text) as Message)
    this.#arrived?.()
  }

  ended (code: number): void {
    this.code ??= code
    this.#arrived?.()
  }

  /** Resolves when `condition` holds or the session has ended. */
  async until (condition: () => boolean): Promise<void> {
    while (this.isOpen && !condition()) await new Promise<void>(resolve => { this.#arrived = resolve })
  }

  async leave (how: 'graceful' | 'abrupt'): Promise<void> {
    this.left = true
    await this.peer?.leave(how)
    this.#arrived?.()
  }

  #hear (message: Message): void {
    this.messages.push(message)
    if (message.cursor !== undefined) this.lastCursor = message.cursor
    if (message.type === 'reset') {
      this.synced = false
      this.incomplete = this.#starting = true
    } else if (message.type === 'synced') {
      this.synced = true
      this.incomplete = this.#starting = false
    } else if (message.type === 'filtered') {
      const index = this.requested.findIndex(filter => isDeepStrictEqual(filter, message.filter))
      this.requested.splice(0, this.#starting ? index + 1 : 1) // after a reset one answer stands for all
      this.#starting = false
    }
  }

  /** An event as the JSON reader would have said it. */
  #event (block: string): Message {
    const lines = block.split('\n').map(line => line.split(/: ?(.*)/s, 2))
    const field = (name: string): string | undefined => lines.find(([key]) => key === name)?.[1]
    const id = lines.some(([key]) => key === 'id') ? field('id') ?? '' : undefined
    if (id !== undefined) this.lastEventId = id
    const data = field('data')
    if (data === undefined) return { type: 'bookmark', id, ...(id !== undefined && { cursor: id }) }
    const type = field('event') ?? ''
    const value = JSON.parse(data) as Message & Plain
    if (!['save', 'delete', 'leave'].includes(type)) return { ...value, type, id }
    return { type: 'changes', changes: [value], cursor: id ?? '', id }
  }

  async #moment (): Promise<Moment> {
    return { floor: await this.service.floor(), head: this.service.position }
  }
}

export const positionOf = (cursor: string | null): number => cursor === null ? 0 : readCursor(cursor).position

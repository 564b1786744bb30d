import { isDeepStrictEqual } from 'node:util'
import { type ModelLog, type Told, readCursor } from './log.ts'
import type { Message, Session } from './session.ts'
import { type Filter, type Plain, redraws } from './things.ts'

/** The records that a client keeps, over several sessions. */
export interface View {
  /** `null` where it has none. */
  records: Map<string, Plain> | null
}

interface Known extends Message { readonly cursor: string }

/** Checks what came over a JSON or SSE session, message by message, against the model (contract §5, guarantees 2 to 5). */
export class Transcript {
  readonly #session: Session
  readonly #model: ModelLog
  readonly #view: View
  /** `resetting`: records come whose position is known only when the next cursor comes. */
  #phase: 'opening' | 'snapshot' | 'resetting' | 'following' = 'opening'
  #position = 0
  #filter: Filter
  #read = 0
  #answered = 0
  /** Whether an answer right behind a reset may as well end an empty snapshot and an empty difference. */
  #unclear = false
  /** What a new filter makes of the view, while it comes. */
  #difference = new Map<string, Plain>()
  #checked = false

  constructor (session: Session, model: ModelLog, view: View) {
    this.#session = session
    this.#model = model
    this.#view = view
    this.#filter = session.opening.filter
  }

  /** Checks what has come since the last time. `floor`: the oldest position that is kept now. */
  check (floor: number): void {
    const { messages, code, left } = this.#session
    for (; this.#read < messages.length; this.#read++) {
      const message = messages[this.#read]
      if (message) this.#take(message, floor)
    }
    if ((code !== null || left) && !this.#checked) this.#end(floor)
    else if (this.#difference.size > 0) this.#fail('a change was told that is not in the log')
  }

  #take (message: Message, floor: number): void {
    this.#assertId(message)
    if ((message.type === 'ready') !== (this.#phase === 'opening') && message.type !== 'error') this.#fail(`${message.type} came in the phase ${this.#phase}`)
    switch (message.type) {
      case 'ready': return this.#ready(message as Known)
      case 'snapshot': return this.#records(message.records ?? [])
      case 'changes': return this.#changes(message as Known)
      case 'filtered': return this.#filtered(message as Known)
      case 'reset': return this.#reset(floor)
      case 'synced': return this.#synced(message as Known)
      case 'bookmark': return message.cursor === undefined ? undefined : this.#nothing(message as Known)
      case 'bye': return this.#phase === 'following' ? this.#nothing(message as Known) : undefined
      case 'error': return message.code === 'gone' ? undefined : this.#fail('an error came')
      default: this.#fail(`there is no ${message.type}`)
    }
  }

  #ready ({ cursor, filter }: Known): void {
    const { opening: { since, snapshot }, before, after } = this.#session
    this.#position = this.#positionOf(cursor)
    if (!isDeepStrictEqual(filter, this.#filter)) this.#fail('ready tells another filter')
    this.#phase = snapshot && since === 'now' ? 'snapshot' : 'following'
    if (this.#phase === 'snapshot') this.#view.records = null
    const [least, most] = since === 'start' ? [before.floor, after.floor] : [before.head, Math.max(after.head, before.head)]
    const isReplay = since !== 'now' && since !== 'start' && since === cursor
    if (!isReplay && (since === 'now' || since === 'start' || !snapshot) && (this.#position < least || this.#position > most)) this.#fail('it did not start where it was asked to')
    if (isReplay || since === 'now' || since === 'start') return
    if (this.#session.messages[1]?.type !== 'reset') this.#fail('it skipped what was asked for and said nothing')
    this.#assertGone(since, after.floor)
  }

  #records (records: readonly Plain[]): void {
    if (this.#phase !== 'snapshot' && this.#phase !== 'resetting') this.#fail('records came that were not asked for')
    const view = this.#view.records ??= new Map()
    for (const record of records) {
      const id = String(record['id'])
      if (view.has(id)) this.#fail(`${id} came twice`)
      view.set(id, record)
    }
  }

  #changes (message: Known): void {
    const { changes = [], cursor } = message
    const position = this.#positionOf(cursor)
    const told = changes.map(change => this.#told(change))
    this.#following(position, told)
    if (isDeepStrictEqual(told, this.#model.told(this.#filter, this.#position, position).map(comparable)) && this.#difference.size === 0) {
      this.#position = position
      this.#apply(told)
      return this.#assertView()
    }
    if (!this.#session.opening.snapshot || this.#answered >= this.#session.requests.length) {
      this.#fail(`behind ${this.#position} the model has ${JSON.stringify(this.#model.told(this.#filter, this.#position, position))}`)
    }
    this.#nothing({ ...message, changes: [] })
    for (const change of told) {
      if (this.#difference.has(String(change.id)) || change.position !== position) this.#fail('this is no difference between filters')
      this.#difference.set(String(change.id), change)
    }
    this.#apply(told)
  }

  #filtered (message: Known): void {
    const position = this.#positionOf(message.cursor)
    const { requests, opening } = this.#session
    const index = requests.findIndex((filter, index) => index >= this.#answered && isDeepStrictEqual(filter, message.filter))
    const filter = requests[index]
    const forAll = this.#session.messages[this.#read - 1]?.type === 'reset' // one answer for all that were asked for before the reset
    if (!filter || (index !== this.#answered && !forAll)) this.#fail('this filter was not asked for, or others were before')
    const former = this.#filter
    const first = index === this.#answered
    this.#answered = index + 1
    this.#filter = filter
    if (forAll) {
      this.#unclear = first && !redraws(former, filter) && filter.filter === 'deletes'
      this.#position = position
      this.#phase = 'snapshot'
      return
    }
    if (opening.snapshot && redraws(former, filter)) this.#fail('the view can not be told by a difference')
    this.#following(position, [], former)
    if (this.#model.told(former, this.#position, position).length > 0) this.#fail('changes are missing before it')
    this.#position = position
    const expected = opening.snapshot ? this.#model.difference(former, filter, position) : new Map<string, Told>()
    if (!isDeepStrictEqual(this.#difference, new Map([...expected].map(([id, told]) => [id, comparable(told)])))) this.#fail(`the difference should be ${JSON.stringify([...expected.values()])}`)
    this.#difference = new Map()
    if (!opening.snapshot || former.filter !== 'all') this.#view.records = null
    this.#assertView()
  }

  #reset (floor: number): void {
    const { opening: { since, snapshot }, messages } = this.#session
    if (!snapshot) this.#fail('there is no view to reset')
    const atStart = this.#read === 1 && since !== 'now' && since !== 'start' && messages[0]?.cursor !== since
    if (!atStart && floor <= this.#position && !this.#isRedrawn()) this.#fail(`the log reaches back to ${floor}`)
    this.#view.records = new Map()
    this.#difference = new Map()
    this.#phase = atStart ? 'snapshot' : 'resetting'
  }

  /** Whether one of the filters that are to be answered starts the view again. */
  #isRedrawn (): boolean {
    const { requests } = this.#session
    return requests.some((filter, index) => index >= this.#answered && redraws(index === this.#answered ? this.#filter : requests[index - 1] ?? filter, filter))
  }

  #synced (message: Known): void {
    const { before, messages } = this.#session
    if (messages.slice(0, this.#read).findLast(one => one.type === 'synced' || one.type === 'reset')?.type === 'synced') this.#fail('synced came twice')
    if (this.#phase !== 'following') this.#view.records ??= new Map()
    this.#nothing(message)
    if (this.#position < before.head) this.#fail(`synced came too early: ${before.head} had been reached before`)
  }

  /** A cursor that says that nothing was to be told since the last one. */
  #nothing ({ cursor }: Known): void {
    const position = this.#positionOf(cursor)
    this.#following(position, [])
    const missing = this.#model.told(this.#filter, this.#position, position)
    if (missing.length > 0 || position < this.#position) this.#fail(`it leaves out ${JSON.stringify(missing)}`)
    this.#position = position
    if (this.#difference.size === 0) this.#assertView()
  }

  /** The snapshot is complete: it must be that of its position, or of some position between the reset and `upTo`. */
  #following (upTo: number, told: readonly Plain[], filter = this.#filter): void {
    if (this.#phase === 'following') return
    const { where, fields } = filter
    const view = this.#view.records ??= new Map()
    const fits = (position: number): boolean => isDeepStrictEqual(this.#view.records, this.#model.view(where, fields, position))
    if (this.#unclear && view.size === 0) this.#view.records = new Map(this.#model.view(where, fields, this.#position))
    this.#unclear = false
    let position = this.#phase === 'snapshot' ? this.#position : upTo
    if (this.#phase === 'resetting') {
      const goesOn = (position: number): boolean => isDeepStrictEqual(told, this.#model.told(filter, position, upTo).map(comparable))
      while (position >= this.#position && !(fits(position) && goesOn(position))) position--
      if (position < this.#position) position = upTo // a difference may come first
    }
    if (position < this.#position || !fits(position)) this.#fail(`the snapshot is not that of ${this.#position}: ${JSON.stringify([...this.#model.view(where, fields, this.#position).values()])}`)
    this.#position = position
    this.#phase = 'following'
  }

  #apply (told: readonly Plain[]): void {
    for (const { op, id, record } of told) {
      if (op === 'save') this.#view.records?.set(String(id), record as Plain)
      else this.#view.records?.delete(String(id))
    }
  }

  #assertView (): void {
    const { filter, where, fields } = this.#filter
    const { records } = this.#view
    if (filter !== 'all') this.#view.records = null
    else if (records && !isDeepStrictEqual(records, this.#model.view(where, fields, this.#position))) this.#fail(`the view is not that of ${this.#position}`)
  }

  #end (floor: number): void {
    this.#checked = true
    const { code, opening: { since, snapshot, reader }, messages, requests, after } = this.#session
    const next = requests[this.#answered]
    const expected = next && this.#model.difference(this.#filter, next, this.#position)
    for (const [id, told] of this.#difference) {
      if (!expected?.has(id) || !isDeepStrictEqual(comparable(expected.get(id) as Told), told)) this.#fail('it ended with a change that is not in the log')
    }
    this.#difference = new Map()
    if (code === 410 || (code === 4410 && this.#phase === 'opening')) this.#assertGone(since, since === 'start' ? 0 : after.floor)
    else if (code === 4410 && (snapshot || floor <= this.#position)) this.#fail(`it was told that the log is gone behind ${this.#position}, but it reaches back to ${floor}`)
    else if (code === 1001 && reader !== 'sse' && messages.at(-1)?.type !== 'bye') this.#fail('there was no bye')
    else if (code !== null && ![1000, 1001, 1005, 1006, 4410].includes(code)) this.#fail(`it ended with ${code}`)
  }

  #assertGone (since: string, floor: number): void {
    const { epoch, position } = readCursor(since)
    if (since === 'start' || (this.#model.hasEpoch(epoch) && position >= floor && position <= this.#session.before.head)) this.#fail(`${since} was refused, but the log reaches back to ${floor}`)
  }

  /** A browser resumes from an event's `id` by itself, so there must be none before the snapshot is complete. */
  #assertId ({ id, type, cursor, changes = [] }: Message): void {
    if (id === undefined) return this.#session.opening.reader === 'sse' && type === 'changes' ? this.#fail('a change came without an id') : undefined
    if (type === 'reset' ? id !== '' : id !== cursor) this.#fail('the id is not the cursor')
    if (type === 'ready' && this.#session.opening.snapshot && this.#session.opening.since === 'now') this.#fail('it could be resumed before the snapshot has come')
    if (type === 'changes' && changes.some(change => change['position'] !== readCursor(id).position)) this.#fail('the id is not that of the change')
  }

  #told (change: Plain): Plain {
    const { at, ...told } = change
    if (typeof at !== 'string' || new Date(at).toISOString() !== at) this.#fail('at is no time')
    return told
  }

  #positionOf (cursor: string): number {
    const { epoch, position } = readCursor(cursor)
    if (!this.#model.hasEpoch(epoch) || position > this.#model.head) this.#fail(`${cursor} is no cursor of this log, up to ${this.#model.head}`)
    return position
  }

  #fail (why: string): never {
    const { opening, messages, requests, code } = this.#session
    const shown = messages.slice(Math.max(0, this.#read - 12), this.#read + 1).map(message => JSON.stringify(message).replace(/"pad":"[^"]*"/g, '').slice(0, 600))
    throw new Error([`${why}; position ${this.#position}, ${this.#phase}, closed ${code}`, JSON.stringify(opening), ...requests.map(one => `asked: ${JSON.stringify(one)}`), ...shown].join('\n  '))
  }
}

function comparable (told: Told): Plain {
  return { ...told }
}

import { readFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'
import ts from 'typescript'

/** The record that `sync` brings. */
export const id = '01a20534-c25c-7000-9154-5bef6f8084dc'

export interface Timer { readonly ms: number, readonly act: () => void }
interface Message { readonly type?: string, readonly op?: string, readonly [property: string]: unknown }

/** A connection that the example has opened, played by the test. */
export abstract class Peer {
  readonly url: URL
  closed = false

  constructor (url: string) {
    this.url = new URL(url)
  }

  close (): void {
    this.closed = true
  }

  abstract say (message: Message, cursor?: string): void
  /** The network fails. */
  abstract drop (): void
  /** A proxy or the server answers with a status. */
  abstract refuse (): void
}

/** A WebSocket. */
export class Socket extends Peer {
  onmessage: ((event: { data: string }) => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null
  onerror: (() => void) | null = null

  say (message: Message): void {
    const changes = message.op === undefined ? message : { type: 'changes', changes: [message], cursor: message['cursor'] }
    this.onmessage?.({ data: JSON.stringify(changes) })
  }

  drop (code = 1006): void {
    this.onclose?.({ code })
  }

  refuse (): void {
    this.onerror?.()
    this.onclose?.({ code: 1006 })
  }
}

/** An EventSource. */
export class Source extends Peer {
  readyState = 0
  onerror: (() => void) | null = null
  #lastEventId = ''
  readonly #listeners = new Map<string, (event: { data: string, lastEventId: string }) => void>()

  addEventListener (type: string, listener: (event: { data: string, lastEventId: string }) => void): void {
    this.#listeners.set(type, listener)
  }

  say (message: Message): void {
    if (this.closed) return
    this.readyState = 1
    if (typeof message['cursor'] === 'string') this.#lastEventId = message['cursor']
    this.#listeners.get(message.op ?? message.type ?? '')?.({ data: JSON.stringify(message), lastEventId: this.#lastEventId })
  }

  drop (): void {
    this.readyState = 0
    this.onerror?.()
  }

  refuse (): void {
    this.readyState = 2
    this.onerror?.()
  }
}

/** Runs an example in a world of the test's own: its connections, its clock, its chance, and what the server answers without a stream. */
export class World<P extends Peer> {
  readonly peers: P[] = []
  readonly timers = new Set<Timer>()
  readonly people = new Map<string, object>()
  readonly refusals: number[] = []
  random = 0.5
  /** What a plain request is answered with; 0: not at all. */
  status = 0

  constructor (file: string, address: string, Class: new (url: string) => P) {
    const source = readFileSync(new URL(`../../examples/${file}`, import.meta.url), 'utf8')
    const code = ts.transpileModule(source, { compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 } }).outputText
    const { peers } = this
    const Recorded = class {
      constructor (url: string) {
        const peer = new Class(url)
        peers.push(peer)
        return peer
      }
    }
    const module = { exports: {} as { follow: (address: string, people: Map<string, object>, refused: (status: number) => void) => void } }
    runInNewContext(code, {
      exports: module.exports,
      WebSocket: Recorded,
      EventSource: Recorded,
      AbortSignal,
      console,
      Math: { random: () => this.random, min: Math.min },
      fetch: async (url: string) => {
        if (this.status === 0 || !url.startsWith('http:')) throw new TypeError('fetch failed')
        return { status: this.status }
      },
      setTimeout: (act: () => void, ms: number): Timer => {
        const timer = { act, ms }
        this.timers.add(timer)
        return timer
      },
      clearTimeout: (timer: Timer) => this.timers.delete(timer)
    })
    module.exports.follow(address, this.people, status => this.refusals.push(status))
  }

  /** The connection of now. */
  get peer (): P {
    const peer = this.peers.at(-1)
    if (!peer) throw new Error('there is no connection')
    return peer
  }

  /** The one timer there is, once the example has done what it had to. */
  async timer (): Promise<Timer> {
    await this.settled()
    const [timer, ...others] = this.timers
    if (!timer || others.length > 0) throw new Error(`${this.timers.size} timers, not one`)
    return timer
  }

  /** Lets the time of the one timer pass. */
  async pass (): Promise<number> {
    const timer = await this.timer()
    this.timers.delete(timer)
    timer.act()
    await this.settled()
    return timer.ms
  }

  async settled (): Promise<void> {
    await new Promise(resolve => setImmediate(resolve))
  }

  /** A connection comes to the live end, with one record. */
  sync (cursor: string): void {
    this.peer.say({ type: 'ready', filter: {} })
    this.peer.say({ type: 'snapshot', records: [{ id }] })
    this.peer.say({ type: 'synced', cursor })
  }
}

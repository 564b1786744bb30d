import type { Log } from '../../protocol/log.ts'
import type { Body, Plain, Where } from './things.ts'

export type Write =
  | { readonly kind: 'create', readonly body: Body }
  | { readonly kind: 'batch', readonly bodies: readonly (Omit<Body, 'n'> & { readonly n: number | 'bad' })[] }
  | { readonly kind: 'replace', readonly id: string, readonly body: Body, readonly ifMatch?: string, readonly ifNoneMatch?: '*' }
  | { readonly kind: 'patch', readonly id: string, readonly patch: Plain, readonly ifMatch?: string }
  | { readonly kind: 'delete', readonly id: string, readonly ifMatch?: string }

export interface Answer {
  /** As of HTTP. */
  readonly status: number
  readonly cursor: string
  /** What was saved, in order. */
  readonly saved: readonly { readonly record: Plain & { readonly id: string }, readonly version: string | undefined }[]
}

export interface FeedPage { readonly status: number, readonly changes: readonly Plain[], readonly cursor: string, readonly more: boolean }

export type SocketReader = 'text' | 'json' | 'sse'

/** Who hears what a subscription is sent. */
export interface Listener {
  /** A frame's text, or an event's block of lines. */
  message (text: string): void
  /** The close code; 1000 where an SSE response ended, 1006 where the connection was cut. */
  ended (code: number): void
}

/** The subscriber's end of a connection. */
export interface Peer {
  /** Resolves when the server has acted on it. */
  send (text: string): Promise<void>
  /** Reads no more, until `flow`. */
  stall (): void
  flow (): void
  leave (how: 'graceful' | 'abrupt'): Promise<void>
}

/** One resource, reached through the wire or right inside. */
export interface Service {
  /** The newest position, and the oldest one that is kept, as they are now. */
  readonly position: number
  readonly epoch: string
  floor (): Promise<number>
  write (write: Write): Promise<Answer>
  list (where: Where, fields: readonly string[] | null): Promise<{ records: Plain[], cursor: string }>
  /** The peer, or the HTTP status of a refusal. */
  open (reader: SocketReader, query: string, lastEventId: string, listener: Listener): Promise<Peer | number>
  feed (query: string): Promise<FeedPage>
}

/** The part of a service that looks at the log itself, whichever way the rest goes. */
export abstract class Logged {
  readonly #log: Log

  constructor (log: Log) {
    this.#log = log
  }

  get position (): number {
    return this.#log.position
  }

  get epoch (): string {
    return this.#log.epoch
  }

  async floor (): Promise<number> {
    return (await this.#log.changes(0, 1)).floor
  }
}

/** How one history's app is set up. */
export interface Settings {
  readonly store: 'memory' | 'sqlite'
  /** Changes kept. */
  readonly kept: number
  readonly tailSize: number
  readonly cacheSize: number
  readonly ringSize: number
  readonly slice: number
  readonly rest: number
  readonly backlog: number
  readonly overloadWait: number
  readonly overload: 'write' | 'refuse'
  readonly heartbeat: number
  /** Bytes of a page of the feed. */
  readonly maxPage: number
  /** Bytes that a stalled peer takes before it blocks. */
  readonly capacity: number
}

/** An app with several resources. */
export interface World {
  readonly services: readonly Service[]
  /** What failed where no caller waits. */
  readonly faults: unknown[]
  /** Closes it and starts it anew: on the same file, or with an empty memory. */
  restart (): Promise<void>
  close (): Promise<void>
}

export const resourceNames = ['people', 'orders']

export const query = (parts: Readonly<Record<string, string>>): string => new URLSearchParams(parts).toString()

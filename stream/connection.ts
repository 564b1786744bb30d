import { closeReason } from '../protocol/errors.ts'
import type { ControlMessage } from '../protocol/messages.ts'
import type { Reader } from './reader.ts'

/** What the stream needs of a transport, and all that it knows of one. */
export interface Outlet {
  /** Takes all of `bytes`; what the peer's side does not take at once waits in the outlet. */
  write (bytes: Buffer): void
  /** Whether bytes wait, so that no more should be written until the subscription is told that the outlet has drained. */
  readonly blocked: boolean
  /** Asks the peer for a sign of life; `false` where it has no way to give one. */
  ping (): boolean
  /** Says goodbye and ends the connection. Nothing is written afterwards. */
  close (code: number, reason: string): void
  /** Ends the connection at once. */
  destroy (): void
}

/** What a beat of the heart finds: all well, nothing sent for a heartbeat, or no peer. */
export type Pulse = 'well' | 'quiet' | 'lost'

/** Beats in a heartbeat: a bookmark comes up to one of them early, never late. */
export const beatsPerHeartbeat = 3

/** Pings that may go unanswered; more where the peer has yet to read what lies before them. */
const unanswered = { free: 2, blocked: 4 }

/** One subscriber's end of the stream: bytes go out, and signs of life are watched. */
export class Connection {
  readonly #outlet: Outlet
  readonly #reader: Reader
  /** Beats since something was sent. */
  #quiet = 0
  /** Pings since the peer gave a sign of life. */
  #pings = 0
  #beats = 0

  constructor (outlet: Outlet, reader: Reader) {
    this.#outlet = outlet
    this.#reader = reader
  }

  get blocked (): boolean {
    return this.#outlet.blocked
  }

  write (bytes: Buffer): void {
    this.#quiet = 0
    this.#outlet.write(bytes)
  }

  /** Sends a message, if the reader has such. `resumable`: whether all before its cursor has been sent. */
  message (message: ControlMessage, resumable: boolean): void {
    const bytes = this.#reader.message(message, resumable)
    if (bytes) this.write(bytes)
  }

  /** The peer has given a sign of life. */
  alive (): void {
    this.#pings = 0
  }

  beat (): Pulse {
    if (++this.#beats % beatsPerHeartbeat === 0) {
      if (this.#pings >= (this.blocked ? unanswered.blocked : unanswered.free)) return 'lost'
      if (this.#outlet.ping()) this.#pings++
    }
    return ++this.#quiet >= beatsPerHeartbeat && !this.blocked ? 'quiet' : 'well'
  }

  end (code: number, reason: string): void {
    this.#outlet.close(code, closeReason(reason))
  }

  destroy (): void {
    this.#outlet.destroy()
  }
}

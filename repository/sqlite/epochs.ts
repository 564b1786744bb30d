import { randomBytes } from 'node:crypto'
import { type Cursor, formatCursor } from '../../protocol/cursor.ts'

/** An epoch that is over: it has given out positions up to `upTo`. */
export interface PastEpoch { readonly epoch: string, readonly upTo: number }

export function newEpoch (): string {
  return randomBytes(9).toString('base64url')
}

/**
 * The epochs of a log, in order. One begins whenever the log is opened, where the last one ended. So a log whose end was
 * lost, by restoring a backup or by a power cut, gives its positions out anew under another name: a cursor is of this log if
 * its epoch reached its position here.
 */
export class Epochs {
  readonly current: string
  readonly #past: readonly PastEpoch[]

  constructor (current: string, past: readonly PastEpoch[]) {
    this.current = current
    this.#past = past
  }

  /** Names a position for good: by the epoch that gave it out. */
  cursor (position: number): string {
    return formatCursor(this.#epochOf(position), position)
  }

  /** Whether all that `former` had given out, up to `head`, is in this log. */
  continues (former: Epochs, head: number): boolean {
    return this.includes({ epoch: former.#epochOf(head), position: head })
  }

  /** Whether everything up to the cursor happened in this log; one of the current epoch may be ahead of it. */
  includes ({ epoch, position }: Cursor): boolean {
    return epoch === this.current || this.#past.some(past => past.epoch === epoch && position <= past.upTo)
  }

  #epochOf (position: number): string {
    const last = this.#past.at(-1)
    return !last || position > last.upTo ? this.current : this.#past.find(({ upTo }) => position <= upTo)?.epoch ?? this.current
  }
}

import type { Cursor } from '../protocol/cursor.ts'
import { ChangeStreamError } from '../protocol/errors.ts'
import type { Log } from '../protocol/log.ts'
import type { EncodedChange } from './encoded.ts'
import { Pages, assertReaches } from './pages.ts'
import { Ring } from './ring.ts'

/** Where a subscriber wants to start: a cursor, the oldest change that is kept, or what comes from now on. */
export type Since = Cursor | 'start' | 'now'

export interface HistorySettings {
  /** How much of the log's live end is kept in memory for all, bytes. */
  readonly tailSize: number
  /** How much of what subscribers catching up have read is kept for others who do, bytes. */
  readonly cacheSize: number
}

/** How much of the tail a subscriber catching up is given at once, bytes; one change may be larger. */
const tailPage = 65_536

/** The log for those who catch up: its newest part from memory, the rest page by page. */
export class History {
  readonly #log: Log
  readonly #tail: Ring<EncodedChange>
  readonly #pages: Pages

  constructor (log: Log, { tailSize, cacheSize }: HistorySettings) {
    this.#log = log
    this.#tail = new Ring(log.position, tailSize, change => change.size)
    this.#pages = new Pages(log, cacheSize)
  }

  push (change: EncodedChange): void {
    this.#tail.push(change)
  }

  /** Keeps nothing of what came before `position`, which is the log's end. */
  restart (position: number): void {
    this.#tail.restart(position)
  }

  /** The log has become another one, which ends at `position`. */
  clear (position: number): void {
    this.#tail.restart(position)
    this.#pages.clear()
  }

  /** Some changes right after `position`, from memory or from the log; throws and rejects as `Pages.after` does. */
  after (position: number): readonly EncodedChange[] | Promise<readonly EncodedChange[]> {
    return this.#tail.after(position, tailPage) ?? this.#pages.after(position)
  }

  /**
   * The position to start at for `since`, if the log reaches back to it.
   * @param head the newest position, asked for after the log was refreshed
   * @throws {ChangeStreamError} `gone`, or `unavailable` where the store can't tell
   */
  async locate (since: Since, head: () => number): Promise<number> {
    await this.#log.refresh()
    if (since === 'now') return head()
    if (since === 'start') return (await this.#log.changes(0, 0)).floor
    if (!this.#log.includes(since)) throw new ChangeStreamError('gone', 'since is of another log: this one was restored, rebuilt or lost')
    if (since.position > head()) throw new ChangeStreamError('gone', 'since is ahead of the log')
    if (this.#tail.after(since.position, 0) === null) assertReaches(await this.#log.changes(since.position, 0), since.position, this.#log.epoch)
    return since.position
  }
}

import type { LogEntry } from './change.ts'
import type { Cursor } from './cursor.ts'
import type { Where } from './where.ts'

/** A record as it is kept. */
export interface Stored {
  readonly id: string
  /** Names this state of the record: another after every change, the same after a restart. */
  readonly version: string
  /** The whole record as JSON text without line breaks. */
  readonly json: string
}

/** Part of the log, read in one transaction with what says whether it is whole. */
export interface LogPage {
  readonly epoch: string
  /** Every position up to this one has been trimmed. */
  readonly floor: number
  /** The newest position. */
  readonly head: number
  readonly entries: readonly LogEntry[]
}

/** The records that match a `where` at one position, read piece by piece while writes go on. */
export interface Snapshot {
  readonly position: number
  /**
   * The next records, none twice; an empty piece is no end, `null` is.
   * @throws {ChangeStreamError} `gone` where the log was trimmed past what is needed to undo the writes since `position`
   */
  next (): Promise<readonly Stored[] | null>
  close (): void
}

/** The log of a resource, to read (contract §1). */
export interface Log {
  /** Names the log as it is: another one when it was put in this one's place. */
  readonly epoch: string
  /** The newest position that has been announced. */
  readonly position: number
  /** The cursor of a position: the same for good, on every instance and after a restart. */
  cursor (position: number): string
  /** Whether everything up to a cursor happened in this log; where not, the log was restored, rebuilt or lost since. */
  includes (cursor: Cursor): boolean
  /**
   * Entries after a position, with the log's floor and head as they are in the same transaction: up to `limit` of them, or
   * until their records' JSON comes to `bytes`, but one at least.
   */
  changes (after: number, limit: number, bytes?: number): Promise<LogPage>
  /** Opens a snapshot at the announced position. */
  snapshot (where: Where | null): Snapshot
  /** Announces what others have committed now, rather than at the next poll. */
  refresh (): Promise<void>
}

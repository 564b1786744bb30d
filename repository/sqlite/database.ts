import { LogEntry } from '../../protocol/change.ts'
import type { Stored } from '../../protocol/log.ts'
import type { Connection, Statement, Value } from './driver.ts'
import { Epochs, type PastEpoch } from './epochs.ts'
import { readable } from './readable.ts'
import { statementsOf } from './statements.ts'
import type { Tables } from './tables.ts'

/** What the log spans: every position up to `floor` has been trimmed, `head` is the newest. */
export interface Bounds { readonly epoch: string, readonly floor: number, readonly head: number }

/** What is to become of a record: its new JSON text, or `null` to delete it. */
export interface RecordChange { readonly id: string, readonly before: Stored | null, readonly json: string | null }

interface LogMark { readonly position: number, readonly id: string, readonly time: number }

/** `stamp`: the time, and in its two lowest bits whether somebody vouches for `after` and `before`: a column less to read. */
interface LogRow { readonly position: number, readonly id: string, readonly stamp: number, readonly before: string | null, readonly after: string | null }
interface RecordRow { readonly id: string, readonly record: string, readonly version: number }

const statementsKept = 200

/** One connection and the SQL that is run on it. Every call is synchronous; several belong together inside `reading` or `begin` and `commit`. */
export class Database {
  readonly tables: Tables
  readonly #connection: Connection
  readonly #statements = new Map<string, Statement>()
  readonly #sql: ReturnType<typeof statementsOf>
  /** As they were when the log was last looked at, and how far it had come. */
  #epochs = new Epochs('', [])
  #head = 0
  /** Of the log as a whole; another one when it was put in this one's place. */
  #epoch = ''
  /** Bytes of the largest record. */
  readonly maxRecord: number
  readonly #onUnreadable: (id: string) => void

  /**
   * @param maxRecord bytes of the largest record
   * @param onUnreadable hears of each row that is no record, whenever it is met
   */
  constructor (connection: Connection, tables: Tables, maxRecord: number, onUnreadable: (id: string) => void) {
    this.#connection = connection
    this.tables = tables
    this.maxRecord = maxRecord
    this.#onUnreadable = onUnreadable
    this.#sql = statementsOf(tables, maxRecord)
  }

  /** The prepared form of `sql`, kept for the next time. */
  statement (sql: string): Statement {
    let statement = this.#statements.get(sql)
    if (statement) return statement
    statement = this.#connection.prepare(sql)
    if (this.#statements.size >= statementsKept) this.#statements.delete(this.#statements.keys().next().value ?? '')
    this.#statements.set(sql, statement)
    return statement
  }

  exec (sql: string): void {
    this.#connection.exec(sql)
  }

  /** Runs `read` in one read transaction: all it sees is of one moment. */
  reading<T> (read: () => T): T {
    this.statement('BEGIN').run()
    try {
      return read()
    } finally {
      this.statement('COMMIT').run()
    }
  }

  begin (): void {
    this.statement('BEGIN IMMEDIATE').run()
  }

  commit (): void {
    this.statement('COMMIT').run()
  }

  /** Ends the transaction, if SQLite has not ended it itself, as it does where the disk is full. */
  rollback (): void {
    try {
      this.statement('ROLLBACK').run()
    } catch {}
  }

  /** Whether a transaction is under way: SQLite ends one itself where the disk is full, or where a trigger says `RAISE(ROLLBACK, …)`. */
  inTransaction (): boolean {
    try {
      this.statement('BEGIN').run()
    } catch {
      return true
    }
    this.rollback()
    return false
  }

  /** Runs `write` so that it leaves nothing behind if it throws. */
  atomically<T> (write: () => T): T {
    this.statement('SAVEPOINT one').run()
    let result: T
    try {
      result = write()
    } catch (error) {
      try {
        this.statement('ROLLBACK TO one').run()
        this.statement('RELEASE one').run()
      } catch {} // the whole transaction has ended: the first error says why
      throw error
    }
    this.statement('RELEASE one').run()
    return result
  }

  /** Reads what the log spans, and takes note of its epochs. */
  bounds (): Bounds {
    const { epoch, floor, head } = this.statement(this.#sql.bounds).get() as Bounds
    if (epoch !== this.#epochs.current) this.#noticeEpochs(epoch)
    this.#head = head
    return { epoch: this.#epoch, floor, head }
  }

  /** Names this log: the same for as long as what it has given out is in it. */
  get epoch (): string {
    return this.#epoch
  }

  get epochs (): Epochs {
    return this.#epochs
  }

  #noticeEpochs (current: string): void {
    const epochs = new Epochs(current, this.statement(this.#sql.epochs).all() as PastEpoch[])
    if (!epochs.continues(this.#epochs, this.#head)) this.#epoch = current
    this.#epochs = epochs
  }

  /** The entries behind `position`: as many as `limit`, or until their texts come to `bytes`, but one at least. */
  entriesAfter (position: number, limit = -1, bytes = Infinity): LogEntry[] {
    const entries: LogEntry[] = []
    let size = 0
    for (const row of this.statement(this.#sql.entries).iterate(position, limit)) {
      const { position, id, stamp, before, after } = row as LogRow
      const vouched = stamp % 4
      const entry = this.#entry({ position, id, time: (stamp - vouched) / 4 }, this.#json(id, after, vouched >= 2), this.#json(id, before, vouched % 2 === 1))
      entries.push(entry)
      size += (entry.json?.length ?? 0) + (entry.beforeJson?.length ?? 0)
      if (size >= bytes) break
    }
    return entries
  }

  #json (id: string, text: string | null, vouched: boolean): string | null {
    if (text === null) return null
    const json = readable(id, text, vouched, this.maxRecord)
    if (json === null) this.#onUnreadable(id)
    return json
  }

  /** The entries behind `position`, which are those of `changes` if nobody else has a hand in it: then their texts need not be read again. */
  entriesOf (changes: readonly RecordChange[], position: number): LogEntry[] {
    const marks = this.statement(this.#sql.marks).all(position) as LogMark[]
    const own = marks.length === changes.length && marks.every((mark, index) => mark.id === changes[index]?.id)
    if (!own) return this.entriesAfter(position)
    return marks.map((mark, index) => this.#entry(mark, changes[index]?.json ?? null, changes[index]?.before?.json ?? null))
  }

  #entry ({ position, id, time }: LogMark, json: string | null, beforeJson: string | null): LogEntry {
    return new LogEntry({ position, id, time, version: this.#epochs.cursor(position), json, beforeJson })
  }

  read (id: string): Stored | null {
    return this.records(this.#sql.record, id)[0] ?? null
  }

  /** What a query for `id`, `record` and `version` finds, but for unreadable rows. */
  records (sql: string, ...values: Value[]): Stored[] {
    const rows = this.statement(sql).all(...values) as RecordRow[]
    const found: Stored[] = []
    for (const row of rows) {
      const stored = this.stored(row)
      if (stored) found.push(stored)
    }
    return found
  }

  /** The same one by one, as they are read, unreadable rows included: what is not asked for is not in memory. */
  * eachRow (sql: string, values: readonly Value[]): Generator<{ readonly id: string, readonly stored: Stored | null }, void> {
    for (const row of this.statement(sql).iterate(...values) as Iterable<RecordRow>) yield { id: row.id, stored: this.stored(row) }
  }

  /** The record of a row, or `null` where that is unreadable. */
  stored ({ id, record, version }: RecordRow): Stored | null {
    const json = this.#json(id, record, version > 0)
    return json === null ? null : { id, version: this.#epochs.cursor(Math.abs(version)), json }
  }

  /** Removes a row, also an unreadable one; whether there was one. */
  remove (id: string): boolean {
    const exists = this.statement(this.#sql.exists).get(id) !== undefined
    if (exists) this.statement(this.#sql.remove).run(id)
    return exists
  }

  /** Creates, replaces or deletes a record; the triggers write the log. */
  apply ({ id, before, json }: RecordChange): void {
    if (json === null) this.statement(this.#sql.remove).run(id)
    else if (before === null) this.statement(this.#sql.insert).run(id, json, json)
    else this.statement(this.#sql.update).run(json, id)
  }

  /** The last position after `floor`, at most `upTo`, that bears a time until `time`; `floor` where none does. */
  lastUntil (time: number, floor: number, upTo: number): number {
    const { position } = this.statement(this.#sql.old).get(floor, upTo, time) as { position: number | null }
    return position ?? floor
  }

  /** What the log takes from `after` up to `upTo`, in bytes. */
  size (after: number, upTo: number): number {
    return (this.statement(this.#sql.size).get(after, upTo) as { size: number }).size
  }

  /** The first position after `after` up to which the log takes `bytes`, or `upTo` where it does not. */
  lastWithin (bytes: number, after: number, upTo: number): number {
    let size = 0
    for (const entry of this.statement(this.#sql.sizes).iterate(after, upTo) as Iterable<{ position: number, size: number }>) {
      size += entry.size
      if (size >= bytes) return entry.position
    }
    return upTo
  }

  /** Forgets the log up to a position. */
  forget (upTo: number): void {
    this.statement(this.#sql.forget).run(upTo)
    this.statement(this.#sql.floor).run(upTo)
  }

  /** Another number whenever another connection has committed. */
  dataVersion (): number {
    return (this.statement('PRAGMA data_version').get() as { data_version: number }).data_version
  }

  close (): void {
    this.#statements.clear()
    this.#connection.close()
  }
}

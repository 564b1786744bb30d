import { LogEntry } from '../../protocol/change.ts'
import { formatCursor } from '../../protocol/cursor.ts'
import type { Stored } from '../../protocol/log.ts'
import type { Connection, Statement, Value } from './driver.ts'
import type { Tables } from './layout.ts'

/** What the log spans: every position up to `floor` has been trimmed, `head` is the newest. */
export interface Bounds { readonly epoch: string, readonly floor: number, readonly head: number }

interface LogRow { readonly position: number, readonly id: string, readonly time: number, readonly before: string | null, readonly after: string | null }
interface RecordRow { readonly id: string, readonly record: string, readonly version: number }

const statementsKept = 200

/** One connection and the SQL that is run on it. Every call is synchronous; several belong together inside `reading` or `begin` and `commit`. */
export class Database {
  readonly tables: Tables
  readonly #connection: Connection
  readonly #statements = new Map<string, Statement>()
  readonly #boundsSql: string
  readonly #entriesSql: string
  readonly #recordSql: string
  /** The log's epoch when it was last looked at. */
  #epoch = ''

  constructor (connection: Connection, tables: Tables) {
    this.#connection = connection
    this.tables = tables
    const { nameText, name, records, changes } = tables
    this.#boundsSql = `SELECT epoch, floor, coalesce((SELECT seq FROM sqlite_sequence WHERE name = '${name}_changes'), 0) AS head FROM change_streams WHERE resource = ${nameText}`
    this.#entriesSql = `SELECT position, id, time, before, after FROM ${changes} WHERE position > ? ORDER BY position LIMIT ?`
    this.#recordSql = `SELECT id, record, version FROM ${records} WHERE id = ?`
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

  /** Runs `write` so that it leaves nothing behind if it throws. */
  atomically<T> (write: () => T): T {
    this.statement('SAVEPOINT one').run()
    try {
      return write()
    } catch (error) {
      this.statement('ROLLBACK TO one').run()
      throw error
    } finally {
      this.statement('RELEASE one').run()
    }
  }

  /** Reads what the log spans, and takes note of its epoch. */
  bounds (): Bounds {
    const bounds = this.statement(this.#boundsSql).get() as Bounds
    this.#epoch = bounds.epoch
    return bounds
  }

  get epoch (): string {
    return this.#epoch
  }

  entriesAfter (position: number, limit = -1): LogEntry[] {
    const rows = this.statement(this.#entriesSql).all(position, limit) as LogRow[]
    return rows.map(row => new LogEntry({
      position: row.position,
      id: row.id,
      time: row.time,
      version: formatCursor(this.#epoch, row.position),
      json: oneLine(row.after),
      beforeJson: oneLine(row.before)
    }))
  }

  read (id: string): Stored | null {
    return this.records(this.#recordSql, id)[0] ?? null
  }

  /** What a query for `id`, `record` and `version` finds. */
  records (sql: string, ...values: Value[]): Stored[] {
    const rows = this.statement(sql).all(...values) as RecordRow[]
    return rows.map(({ id, record, version }) => ({ id, version: formatCursor(this.#epoch, version), json: oneLine(record) }))
  }

  /** Creates, replaces or deletes a record; the triggers write the log. */
  apply (id: string, before: Stored | null, json: string | null): void {
    const { records } = this.tables
    if (json === null) this.statement(`DELETE FROM ${records} WHERE id = ?`).run(id)
    else if (before === null) this.statement(`INSERT INTO ${records} (id, record) VALUES (?, ?)`).run(id, json)
    else this.statement(`UPDATE ${records} SET record = ? WHERE id = ?`).run(json, id)
  }

  /** The last position after `floor`, at most `upTo`, before any change that is as young as `time`. */
  lastBefore (time: number, floor: number, upTo: number): number {
    const sql = `SELECT min(position) AS position FROM ${this.tables.changes} WHERE position > ? AND position <= ? AND time >= ?`
    const { position } = this.statement(sql).get(floor, upTo, time) as { position: number | null }
    return position === null ? upTo : position - 1
  }

  /** Forgets the log up to a position. */
  forget (upTo: number): void {
    this.statement(`DELETE FROM ${this.tables.changes} WHERE position <= ?`).run(upTo)
    this.statement(`UPDATE change_streams SET floor = max(floor, ?) WHERE resource = ${this.tables.nameText}`).run(upTo)
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

/** JSON that another process wrote may hold line breaks between its parts; the text stream and SSE can't. */
function oneLine<T extends string | null> (json: T): T {
  return (json !== null && /[\n\r]/.test(json) ? JSON.stringify(JSON.parse(json)) : json) as T
}

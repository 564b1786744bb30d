import { ChangeStreamError } from '../../protocol/errors.ts'
import type { Stored } from '../../protocol/log.ts'
import type { Where } from '../../protocol/where.ts'
import type { Database } from './database.ts'
import { type Sql, whereSql } from './where.ts'

export interface ScanOptions {
  /** The records of this position are read. */
  readonly position: number
  readonly where: Where | null
  /** Start behind this id. */
  readonly after?: string
  /** A further condition on the records. */
  readonly beyond?: Sql
  /** Order and size of a window's answer; by `id` and whole by default. */
  readonly order?: Sql
  readonly limit?: number
  /** Records looked at in one turn. */
  readonly window?: number
}

export const scanSchema = 'CREATE TEMP TABLE IF NOT EXISTS undo (scan INTEGER NOT NULL, id TEXT NOT NULL, before TEXT, before_version INTEGER, PRIMARY KEY (scan, id)) WITHOUT ROWID'

let scans = 0

/**
 * Reads the records of one position window by window, in order of `id`, while writes go on between the windows.
 * Each window is read as it is now; what the log says has been changed since the position is undone: the `before` of a
 * record's first change since then is what it was. So no transaction is held open, which would keep the WAL from
 * being checkpointed, and memory holds one window. What is to be undone waits in a temporary table.
 */
export class Scan {
  readonly position: number
  readonly #database: Database
  readonly #options: ScanOptions
  readonly #name = ++scans
  /** The changes up to here are in `undo`. */
  #seen: number
  /** Every id up to this one has been read; `null` when all have. */
  #last: string | null

  constructor (database: Database, options: ScanOptions) {
    this.#database = database
    this.#options = options
    this.position = this.#seen = options.position
    this.#last = options.after ?? ''
  }

  get done (): boolean {
    return this.#last === null
  }

  /**
   * The next window's records that may match, or `null` after the last window. The caller tests each: see `whereSql`.
   * @throws {ChangeStreamError} `gone` where changes that must be undone have been trimmed
   */
  next (): readonly Stored[] | null {
    const last = this.#last
    return last === null ? null : this.#database.reading(() => this.#window(last))
  }

  close (): void {
    this.#last = null
    if (this.#seen > this.position) this.#database.statement('DELETE FROM temp.undo WHERE scan = ?').run(this.#name)
    this.#seen = this.position
  }

  #window (after: string): readonly Stored[] {
    const { records } = this.#database.tables
    this.#collectUndo(after)
    const { window = 4000 } = this.#options
    const edge = this.#database.statement(`SELECT id FROM ${records} WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?`).get(after, window - 1) as { id: string } | undefined
    const found = this.#read(after, edge?.id ?? null)
    this.#last = edge?.id ?? null
    if (this.#last === null) this.close()
    else if (this.#seen > this.position) this.#database.statement('DELETE FROM temp.undo WHERE scan = ? AND id <= ?').run(this.#name, this.#last)
    return found
  }

  #collectUndo (after: string): void {
    const { floor, head } = this.#database.bounds()
    if (head === this.#seen) return
    if (floor > this.#seen) throw new ChangeStreamError('gone', 'the log was trimmed past the position that was being read')
    this.#database.statement(`INSERT OR IGNORE INTO temp.undo SELECT ?, id, before, before_version FROM ${this.#database.tables.changes} WHERE position > ? AND position <= ? AND id > ? ORDER BY position`)
      .run(this.#name, this.#seen, head, after)
    this.#seen = head
  }

  #read (after: string, upTo: string | null): readonly Stored[] {
    const { where, beyond, order = { text: 'id', values: [] }, limit = -1 } = this.#options
    const { records } = this.#database.tables
    const filter = whereSql(where)
    const undone = this.#seen > this.position
    const range = upTo === null ? 'id > ?' : 'id > ? AND id <= ?'
    const ids = upTo === null ? [after] : [after, upTo]
    const now = `SELECT id, record, version FROM ${records} WHERE ${range}`
    const source = undone
      ? `${now} AND id NOT IN (SELECT id FROM temp.undo WHERE scan = ?) UNION ALL SELECT id, before AS record, before_version AS version FROM temp.undo WHERE scan = ? AND before IS NOT NULL AND ${range}`
      : now
    const values = undone ? [...ids, this.#name, this.#name, ...ids] : ids
    return this.#database.records(`SELECT id, record, version FROM (${source}) WHERE ${filter.text}${beyond ? ` AND ${beyond.text}` : ''} ORDER BY ${order.text} LIMIT ?`,
      ...values, ...filter.values, ...beyond?.values ?? [], ...order.values, limit)
  }
}

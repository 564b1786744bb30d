import { ChangeStreamError } from '../../protocol/errors.ts'
import type { Stored } from '../../protocol/log.ts'
import type { Where } from '../../protocol/where.ts'
import type { Database } from './database.ts'
import { fittingSql } from './readable.ts'
import { type Sql, all, always, readably, whereSql } from './where.ts'

export interface ScanOptions {
  /** The records of this position are read. */
  readonly position: number
  readonly where: Where | null
  /** Start behind this id. */
  readonly after?: string
  /** Records that the first window looks at, and bytes of them that any window does. */
  readonly rows?: number
  readonly bytes?: number
}

export const scanSchema = 'CREATE TEMP TABLE IF NOT EXISTS undo (scan INTEGER NOT NULL, id TEXT NOT NULL, before TEXT, before_version INTEGER, PRIMARY KEY (scan, id)) WITHOUT ROWID'

const windowTime = 5 // milliseconds
const windowBytes = 1_048_576
const askedBytes = 4_194_304 // of the records of one window that SQLite is asked of
const leastAsked = 1024 // bytes: it is asked of every record that has no more
const fewestRows = 16
const firstRows = 256
const mostRows = 16_384
const undoRows = 2000 // entries of the log in one window
const undoBytes = 4_194_304

let scans = 0

/** Rows in their order: the id of the last, and whether none come after it. */
interface Stretch { readonly last: string | null, readonly end: boolean }

/**
 * Reads the records of one position window by window, from both ends of the ids towards the middle, while writes go on between
 * the windows. A window is bounded in rows, in bytes, and in time: its rows are as many as lately took a few milliseconds. SQLite
 * is asked of those that are small beside their number; the others come through, and are counted.
 *
 * Each window is read as it is now; what the log says has been changed since the position is undone: the `before` of a
 * record's first change since then is what it was. So no transaction is held open, which would keep the WAL from
 * being checkpointed, and memory holds one record at a time. What is to be undone waits in a temporary table.
 */
export class Scan {
  readonly position: number
  readonly #database: Database
  readonly #filter: Sql
  readonly #bytes: number
  readonly #name = ++scans
  #rows: number
  /** The changes up to here are in `undo`. */
  #seen: number
  /** How much more than usual is noted in one window, since writes go on faster than that. */
  #haste = 1
  /** What is between these two ids has yet to be read. */
  #low: string
  #high: string | null = null
  #done = false

  constructor (database: Database, { position, where, after = '', rows = firstRows, bytes = windowBytes }: ScanOptions) {
    this.#database = database
    this.#filter = whereSql(where)
    this.#rows = rows
    this.#bytes = bytes
    this.position = this.#seen = position
    this.#low = after
  }

  get done (): boolean {
    return this.#done
  }

  /**
   * Visits the next window's records that may match, in order of id, or against it from the last. The caller tests each: see `whereSql`.
   * @param visit says whether to go on; where not, the next window begins behind that record
   * @param from at which end
   * @param narrowing a further condition, for this window alone
   * @throws {ChangeStreamError} `gone` where changes that must be undone have been trimmed
   */
  next (visit: (stored: Stored) => boolean, from: 'first' | 'last' = 'first', narrowing: Sql = always): void {
    if (!this.#done) this.#database.reading(() => { if (this.#noteUndo()) this.#window(visit, from === 'last', all([this.#filter, narrowing])) })
  }

  close (): void {
    this.#done = true
    if (this.#seen > this.position) this.#database.statement('DELETE FROM temp.undo WHERE scan = ?').run(this.#name)
    this.#seen = this.position
  }

  #window (visit: (stored: Stored) => boolean, backwards: boolean, condition: Sql): void {
    const start = performance.now()
    const rows = this.#rows
    const filter = readably(condition, Math.min(this.#database.maxRecord, Math.max(askedBytes / rows, leastAsked)))
    const stretch = filter === always ? null : this.#stretch(backwards) // what a filter leaves out is not seen here
    const { text, values } = this.#select(`id, ${fittingSql('record', this.#database.maxRecord)} AS record, version`, stretch === null ? this.#range() : this.#upTo(stretch, backwards), filter)
    let [count, bytes, whole, full, last] = [0, 0, true, false, null as string | null]
    for (const { id, stored } of this.#database.eachRow(`${text} ORDER BY id ${backwards ? 'DESC' : 'ASC'} LIMIT ?`, [...values, rows])) {
      count++
      last = id
      if (!stored) continue
      bytes += stored.json.length
      full = bytes >= this.#bytes
      whole = visit(stored) && !full
      if (!whole) break
    }
    const read = stretch ?? { last, end: count < rows }
    this.#advance(whole ? read : { last, end: false }, backwards)
    if (full) this.#rows = Math.max(count, fewestRows)
    else if (whole && !read.end) this.#adapt(performance.now() - start)
  }

  /** Where the next window ends. */
  #stretch (backwards: boolean): Stretch {
    const { text, values } = this.#select('id', this.#range(), always)
    const edge = this.#database.statement(`${text} ORDER BY id ${backwards ? 'DESC' : 'ASC'} LIMIT 1 OFFSET ?`).get(...values, this.#rows - 1) as { id: string } | undefined
    return { last: edge?.id ?? null, end: edge === undefined }
  }

  /** The first rows of a `place` and a `size`, as many as there may be, but at least one. */
  #measure ({ text, values }: Sql, rows: number, bytes: number): { readonly last: number, readonly end: boolean } {
    const sql = `SELECT count(*) AS count, coalesce(sum(size), 0) AS size, max(place) AS last FROM (${text} ORDER BY place LIMIT ?)`
    for (let most = rows; ;) {
      const { count, size, last } = this.#database.statement(sql).get(...values, most) as { count: number, size: number, last: number }
      if (size <= bytes || count < 2) return { last, end: count < most }
      most = Math.max(Math.min(Math.floor(count * bytes / size), count - 1), 1)
    }
  }

  #adapt (elapsed: number): void {
    const factor = Math.min(Math.max(windowTime / elapsed, 1 / 4), 4)
    this.#rows = Math.round(Math.min(Math.max(this.#rows * factor, fewestRows), mostRows))
  }

  #advance ({ last, end }: Stretch, backwards: boolean): void {
    if (end) return this.close()
    if (last === null) return
    if (backwards) this.#high = last
    else this.#low = last
    if (this.#seen > this.position) this.#database.statement(`DELETE FROM temp.undo WHERE scan = ? AND id ${backwards ? '>=' : '<='} ?`).run(this.#name, last)
  }

  /** Takes note of what has been changed since; `false` where that is so much that this window's time is over. */
  #noteUndo (): boolean {
    const { floor, head } = this.#database.bounds()
    if (head === this.#seen) return true
    if (floor > this.#seen) throw new ChangeStreamError('gone', 'the log was trimmed past the position that was being read')
    const { tables: { changes }, maxRecord } = this.#database
    const since: Sql = { text: `SELECT position AS place, octet_length(before) AS size FROM ${changes} WHERE position > ? AND position <= ?`, values: [this.#seen, head] }
    const { last, end } = this.#measure(since, undoRows * this.#haste, undoBytes * this.#haste)
    const upTo = end ? head : last
    const range = this.#range()
    this.#database.statement(`INSERT OR IGNORE INTO temp.undo SELECT ?, id, ${fittingSql('before', maxRecord)}, before_version FROM ${changes} WHERE position > ? AND position <= ? AND ${range.text} ORDER BY position`)
      .run(this.#name, this.#seen, upTo, ...range.values)
    this.#seen = upTo
    this.#haste = end ? 1 : this.#haste * 2
    return end
  }

  /** What has yet to be read. No more than one bound at either side, since SQLite would seek by one of them alone. */
  #range (): Sql {
    return this.#high === null ? { text: 'id > ?', values: [this.#low] } : { text: 'id > ? AND id < ?', values: [this.#low, this.#high] }
  }

  #upTo ({ last, end }: Stretch, backwards: boolean): Sql {
    if (end) return this.#range()
    if (!backwards) return { text: 'id > ? AND id <= ?', values: [this.#low, last] }
    return this.#high === null ? { text: 'id >= ?', values: [last] } : { text: 'id >= ? AND id < ?', values: [last, this.#high] }
  }

  /** What is to be read: the records as they were, by their columns `id`, `record` and `version`. */
  #select (columns: string, range: Sql, condition: Sql): Sql {
    const { records } = this.#database.tables
    const where = all([range, condition])
    if (this.#seen === this.position) return { text: `SELECT ${columns} FROM ${records} WHERE ${where.text}`, values: where.values }
    const unchanged = `NOT EXISTS (SELECT 1 FROM temp.undo WHERE undo.scan = ? AND undo.id = ${records}.id)`
    const changed = '(SELECT id, before AS record, before_version AS version FROM temp.undo WHERE scan = ? AND before IS NOT NULL)'
    return {
      text: `SELECT ${columns} FROM ${records} WHERE ${where.text} AND ${unchanged} UNION ALL SELECT ${columns} FROM ${changed} WHERE ${where.text}`,
      values: [...where.values, this.#name, this.#name, ...where.values]
    }
  }
}

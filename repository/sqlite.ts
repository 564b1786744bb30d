import { setTimeout as delay } from 'node:timers/promises'
import { ChangeStreamError } from '../protocol/errors.ts'
import { Database } from './sqlite/database.ts'
import { type Connection, type DriverName, type Open, findDriver, isFault } from './sqlite/driver.ts'
import { prepareLayout } from './sqlite/layout.ts'
import { DatabaseFile } from './sqlite/file.ts'
import { assertUsable } from './sqlite/names.ts'
import { SqliteStore } from './sqlite/store.ts'
import { type Tables, tablesOf } from './sqlite/tables.ts'
import { ReadBudget } from './read-budget.ts'
import type { Retention } from './retention.ts'
import { Settings } from './settings.ts'
import type { OpenStore } from './store.ts'

export interface SqliteOptions {
  /** Path of the database file; it is made if it is not there. Other tables in it are left alone. */
  readonly file: string
  /** By default `node` where Node has `node:sqlite` (22.13 on), else `better-sqlite3`. */
  readonly driver?: DriverName
  /**
   * `full` (default): what was answered survives a power cut. `normal`: it survives a crash of the process; a power cut may
   * take the log's end, and readers that have seen that are told so.
   */
  readonly synchronous?: 'full' | 'normal'
  /** How much of the log is kept: by default 100,000 changes, and all of the last hour, but at most 256 MB. */
  readonly retention?: Partial<Retention>
  /** How long a write waits for a lock that another process holds, milliseconds; 5000 by default. */
  readonly busyTimeout?: number
  /** How often to look for what other processes have written, milliseconds; 50 by default. */
  readonly pollInterval?: number
  /** How often to look for changes that need not be kept, milliseconds; 1000 by default. */
  readonly trimInterval?: number
}

const defaults = {
  synchronous: 'full',
  retention: { count: 100_000, age: 3_600_000, bytes: 268_435_456 },
  busyTimeout: 5000,
  pollInterval: 50,
  trimInterval: 1000
} as const

/**
 * Keeps records and log in a SQLite file, one transaction for both. Several processes of one machine may share the file.
 * Needs Node 22.13 or newer, or the package better-sqlite3.
 * @throws {TypeError} naming an option that can't be used
 */
export function sqlite (options: SqliteOptions): OpenStore {
  const { file, driver } = options
  if (typeof file !== 'string' || file === '' || file === ':memory:') {
    throw new TypeError(`sqlite: file must be the path of a database file, not ${JSON.stringify(file)}${file === ':memory:' ? '; memory() keeps nothing on disk' : ''}`)
  }
  const read = new Settings('sqlite')
  const settings = {
    synchronous: read.oneOf('synchronous', options.synchronous, ['full', 'normal'], defaults.synchronous),
    retention: read.retention(options.retention, defaults.retention),
    busyTimeout: read.milliseconds('busyTimeout', options.busyTimeout, defaults.busyTimeout, 0),
    pollInterval: read.milliseconds('pollInterval', options.pollInterval, defaults.pollInterval, 1),
    trimInterval: read.milliseconds('trimInterval', options.trimInterval, defaults.trimInterval, 1)
  }
  if (driver !== undefined) read.oneOf('driver', driver, ['node', 'better-sqlite3'], driver)
  return async ({ name, maxRecord }, budget = new ReadBudget()) => {
    const tables = tablesOf(name)
    assertUsable(tables)
    const connection = await opened(await findDriver(driver), file, tables, settings)
    const open = (onUnreadable: (id: string) => void): Database => new Database(connection, tables, maxRecord, onUnreadable)
    return new SqliteStore(open, new DatabaseFile(file), settings, budget)
  }
}

/** Opens the file and prepares its tables, and waits while another process holds its lock. */
async function opened (open: Open, file: string, tables: Tables, { busyTimeout, synchronous }: { busyTimeout: number, synchronous: 'full' | 'normal' }): Promise<Connection> {
  const deadline = performance.now() + busyTimeout
  for (;;) {
    let connection: Connection | undefined
    try {
      connection = open(file)
      prepare(connection, tables, synchronous)
      return connection
    } catch (error) {
      connection?.close()
      if (!isFault(error, 'busy') || performance.now() > deadline) throw openError(file, error)
      await delay(20)
    }
  }
}

function prepare (connection: Connection, tables: Tables, synchronous: 'full' | 'normal'): void {
  connection.exec(`PRAGMA synchronous = ${synchronous}; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON`)
  const { journal_mode: mode } = connection.prepare('PRAGMA journal_mode = WAL').get() as { journal_mode: string }
  if (mode !== 'wal') throw new TypeError(`it can't be switched to WAL mode, it stays in "${mode}"`)
  connection.exec('PRAGMA ignore_check_constraints = ON') // they are for other writers; what is written here has been checked
  const { foreign_keys: foreignKeys } = connection.prepare('PRAGMA foreign_keys').get() as { foreign_keys: number }
  connection.exec('PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE')
  try {
    prepareLayout(connection, tables)
    connection.exec(`COMMIT; PRAGMA foreign_keys = ${foreignKeys}`)
  } catch (error) {
    connection.exec('ROLLBACK')
    throw error
  }
}

function openError (file: string, error: unknown): ChangeStreamError {
  const message = error instanceof Error ? error.message : String(error)
  const what = isFault(error, 'busy')
    ? `another process has it locked (${message})`
    : isFault(error, 'readonly')
      ? `it is read-only (${message})`
      : isFault(error, 'full')
        ? `the disk is full (${message})`
        : isFault(error, 'corrupt')
          ? `it is damaged or no SQLite database (${message})`
          : message
  return new ChangeStreamError('unavailable', `sqlite: can't use ${file}: ${what}`, { cause: error })
}

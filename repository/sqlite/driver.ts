import { ChangeStreamError } from '../../protocol/errors.ts'

export type Value = string | number | null

export interface Statement {
  run (...values: Value[]): unknown
  get (...values: Value[]): unknown
  all (...values: Value[]): unknown[]
  /** The rows one by one, as they are read. The statement must not be run again before it has come to its end, or been left. */
  iterate (...values: Value[]): Iterable<unknown>
}

/** What both drivers have in common, and all that the store needs of one. Every call is synchronous. */
export interface Connection {
  prepare (sql: string): Statement
  exec (sql: string): unknown
  close (): unknown
}

/** `node`: `node:sqlite`, in Node from 22.13 on. `better-sqlite3`: the package of that name, version 12. */
export type DriverName = 'node' | 'better-sqlite3'

export type Open = (file: string) => Connection

/**
 * Finds a driver: the one that is named, or else `node:sqlite` where Node has it and better-sqlite3 elsewhere.
 * @throws {TypeError} where there is none, saying what to install
 */
export async function findDriver (name: DriverName | undefined): Promise<Open> {
  if (name === undefined) return await nodeDriver().catch(betterDriver)
  return name === 'node' ? await nodeDriver() : await betterDriver()
}

async function nodeDriver (): Promise<Open> {
  try {
    const { DatabaseSync } = await import('node:sqlite')
    return file => new DatabaseSync(file) // it waits for no lock unless told to
  } catch (cause) {
    throw new TypeError('sqlite({ driver: "node" }) needs Node 22.13 or newer', { cause })
  }
}

async function betterDriver (): Promise<Open> {
  try {
    const { default: Database } = await import('better-sqlite3')
    return file => {
      const database = new Database(file, { timeout: 0 })
      return { prepare: sql => database.prepare<Value[]>(sql), exec: sql => database.exec(sql), close: () => database.close() }
    }
  } catch (cause) {
    throw new TypeError('sqlite() needs Node 22.13 or newer, or the package better-sqlite3: npm install better-sqlite3@12', { cause })
  }
}

/** What can go wrong, by SQLite's primary result code (https://www.sqlite.org/rescode.html). */
const faults = {
  busy: [5, 6],
  constraint: [19],
  readonly: [8],
  full: [13],
  corrupt: [11, 26],
  /** May have ended the transaction, or concerns all that is in it. */
  transaction: [5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 17, 26]
} as const

const codeNames: Readonly<Record<string, number>> = {
  ERROR: 1,
  BUSY: 5,
  LOCKED: 6,
  NOMEM: 7,
  READONLY: 8,
  INTERRUPT: 9,
  IOERR: 10,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  PROTOCOL: 15,
  SCHEMA: 17,
  TOOBIG: 18,
  CONSTRAINT: 19,
  MISMATCH: 20,
  NOTADB: 26
}

/** Whether `error` is SQLite's and of that kind; `trigger`: a trigger has raised it. */
export function isFault (error: unknown, kind: keyof typeof faults | 'trigger'): boolean {
  if (kind === 'trigger') return typeof error === 'object' && error !== null && (Reflect.get(error, 'errcode') === 1811 || Reflect.get(error, 'code') === 'SQLITE_CONSTRAINT_TRIGGER')
  return (faults[kind] as readonly number[]).includes(primaryCode(error))
}

export function isDatabaseError (error: unknown): boolean {
  return primaryCode(error) >= 0
}

/** node:sqlite gives the extended result code as a number, better-sqlite3 its name, such as `SQLITE_BUSY_SNAPSHOT`. */
function primaryCode (error: unknown): number {
  if (typeof error !== 'object' || error === null) return -1
  if ('errcode' in error && typeof error.errcode === 'number') return error.errcode & 0xff
  if (!('code' in error) || typeof error.code !== 'string') return -1
  return codeNames[error.code.split('_')[1] ?? ''] ?? -1
}

/** SQLite's error as one of ours; anything that is ours already stays. */
export function storeError (error: unknown, doing: string): ChangeStreamError {
  if (error instanceof ChangeStreamError) return error
  const message = error instanceof Error ? error.message : String(error)
  if (isFault(error, 'constraint')) return new ChangeStreamError('conflict', `${doing}: ${message}`, { cause: error })
  return new ChangeStreamError('unavailable', `${doing}: ${message}`, { cause: error, retryAfter: 1000 })
}

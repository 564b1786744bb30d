import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { ChangeStreamError } from '../../protocol/errors.ts'

/**
 * The database file as it was when it was opened. SQLite goes on with a file that has been removed, or has had another one
 * put in its place, and what is written then is nowhere to be found afterwards.
 */
export class DatabaseFile {
  readonly #path: string
  readonly #opened: string

  /** @param path of a file that is open */
  constructor (path: string) {
    this.#path = resolve(path)
    this.#opened = identity(this.#path) ?? ''
  }

  /** Looks whether the file is still where it was: a few microseconds. */
  isThere (): boolean {
    return identity(this.#path) === this.#opened
  }

  get goneError (): ChangeStreamError {
    return new ChangeStreamError('unavailable', `the database file ${this.#path} was removed, or another one is in its place: put the same file back, or restart to use what is there now`)
  }
}

/** Device and inode of what is at `path`, or `null` where nothing can be seen there. */
function identity (path: string): string | null {
  try {
    const { dev, ino } = statSync(path, { bigint: true })
    return `${dev}:${ino}`
  } catch {
    return null
  }
}

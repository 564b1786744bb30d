import { ChangeStreamError } from '../protocol/errors.ts'

/**
 * Does something with a body that an app's own code has handed over.
 * @throws {ChangeStreamError} `invalid-body` where that throws: a BigInt, a getter or a `toJSON` that fails, what contains itself
 */
export function reading<T> (read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof ChangeStreamError) throw cause
    const message = `can't be read as JSON: ${cause instanceof Error ? cause.message : String(cause)}`
    throw new ChangeStreamError('invalid-body', `the body ${message}`, { cause, errors: [{ path: '', message }] })
  }
}

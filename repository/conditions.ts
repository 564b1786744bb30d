import { ChangeStreamError } from '../protocol/errors.ts'
import type { Stored } from '../protocol/log.ts'

/** What must hold for a write to happen (RFC 9110, 13.1): versions, or `*` for any. */
export interface Conditions {
  /** The record must be in one of these versions. */
  readonly ifMatch?: '*' | readonly string[] | undefined
  /** The record must be in none of these versions; with `*` there must be no record. */
  readonly ifNoneMatch?: '*' | readonly string[] | undefined
}

/** @throws {ChangeStreamError} `precondition-failed` */
export function assertConditions (current: Stored | null, { ifMatch, ifNoneMatch }: Conditions): void {
  const matches = (versions: '*' | readonly string[]): boolean => current !== null && (versions === '*' || versions.includes(current.version))
  if (ifMatch !== undefined && !matches(ifMatch)) {
    throw new ChangeStreamError('precondition-failed', current ? `the record is now at version ${current.version}` : 'there is no such record')
  }
  if (ifNoneMatch !== undefined && matches(ifNoneMatch)) throw new ChangeStreamError('precondition-failed', 'the record exists already')
}

/** @throws {ChangeStreamError} `invalid-header` for what is neither `*` nor a list of versions */
export function checkConditions (conditions: Conditions): void {
  for (const name of ['ifMatch', 'ifNoneMatch'] as const) {
    const given: unknown = conditions[name]
    if (given === undefined || given === '*' || (Array.isArray(given) && given.every(version => typeof version === 'string'))) continue
    throw new ChangeStreamError('invalid-header', `${name} must be "*" or a list of versions`)
  }
}

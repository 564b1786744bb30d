import { ChangeStreamError } from '../protocol/errors.ts'
import type { Conditions } from '../repository/conditions.ts'

/** A version as a strong entity tag (RFC 9110, 8.8.3). */
export function etag (version: string): string {
  return `"${version}"`
}

/**
 * The preconditions of a write (RFC 9110, 13.1.1 and 13.1.2).
 * @throws {ChangeStreamError} `invalid-header`
 */
export function readConditions (headers: { 'if-match'?: string | undefined, 'if-none-match'?: string | undefined }): Conditions {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = headers
  return {
    ...(ifMatch !== undefined && { ifMatch: versions('If-Match', ifMatch, false) }),
    ...(ifNoneMatch !== undefined && { ifNoneMatch: versions('If-None-Match', ifNoneMatch, true) })
  }
}

/** Whether a reader that has what `If-None-Match` lists has this version already. */
export function isKnown (version: string, ifNoneMatch: string | undefined): boolean {
  if (ifNoneMatch === undefined) return false
  const known = versions('If-None-Match', ifNoneMatch, true)
  return known === '*' || known.includes(version)
}

const listForm = /^[\t ]*(?:(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"[\t ]*(?:,[\t ]*|$))+$/
const tag = /(W\/)?"([^"]*)"/g

/** @param weakToo whether a weak tag may match: it may tell that nothing has changed, but guards no write */
function versions (header: string, value: string, weakToo: boolean): '*' | string[] {
  if (value.trim() === '*') return '*'
  if (!listForm.test(value)) throw new ChangeStreamError('invalid-header', `${header} must be * or entity tags in quotes, not ${value}`)
  return [...value.matchAll(tag)].filter(([, weak]) => weakToo || weak === undefined).map(([, , version]) => version ?? '')
}

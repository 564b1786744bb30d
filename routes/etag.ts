import { ChangeStreamError } from '../protocol/errors.ts'
import { clip } from '../protocol/json.ts'
import type { Conditions } from '../repository/conditions.ts'

/** A version as a strong entity tag (RFC 9110, 8.8.3). */
export function etag (version: string): string {
  return `"${version}"`
}

/**
 * The preconditions of a request (RFC 9110, 13.1.1 and 13.1.2). A list without a tag in it is one that nothing matches.
 * @throws {ChangeStreamError} `invalid-header`
 */
export function readConditions (headers: { 'if-match'?: string | undefined, 'if-none-match'?: string | undefined }): Conditions {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = headers
  return {
    ...(ifMatch !== undefined && { ifMatch: versions('If-Match', ifMatch, false) }),
    ...(ifNoneMatch !== undefined && { ifNoneMatch: versions('If-None-Match', ifNoneMatch, true) })
  }
}

/** Whether a reader with these conditions has this version already. */
export function isKnown (version: string, { ifNoneMatch }: Conditions): boolean {
  return ifNoneMatch === '*' || ifNoneMatch?.includes(version) === true
}

/** One element of a list, which may be empty (RFC 9110, 5.6.1.2), and what ends it. */
const element = /[\t ]*(?:(W\/)?"([\x21\x23-\x7e\x80-\xff]*)")?[\t ]*(?:,|$)/y

/** @param weakToo whether a weak tag may match: it may tell that nothing has changed, but guards no write */
function versions (header: string, value: string, weakToo: boolean): '*' | string[] {
  if (value.trim() === '*') return '*'
  const found: string[] = []
  for (let at = 0; at < value.length; at = element.lastIndex) {
    element.lastIndex = at
    const match = element.exec(value)
    if (!match) throw new ChangeStreamError('invalid-header', `${header} must be * or entity tags in quotes, not ${clip(value)}`)
    const [, weak, version] = match
    if (version !== undefined && (weakToo || weak === undefined)) found.push(version)
  }
  return found
}

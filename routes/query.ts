import { ChangeStreamError } from '../protocol/errors.ts'
import { clip, maxDepth, parseJson } from '../protocol/json.ts'

/**
 * The query of a URL, each parameter at most once and none but those in `known`. It is read from the URL itself, so that
 * an app's own query parser makes no difference.
 * @throws {ChangeStreamError} `invalid-query`, naming the parameter
 */
export function readQuery<K extends string> (url: string, known: readonly K[]): Partial<Record<K, string>> {
  const query: Partial<Record<K, string>> = {}
  const start = url.indexOf('?')
  if (start < 0) return query
  for (const [name, value] of new URLSearchParams(url.slice(start + 1))) {
    const key = known.find(candidate => candidate === name)
    if (key === undefined) throw new ChangeStreamError('invalid-query', `unknown parameter "${clip(name)}"; there are ${known.join(', ')}`)
    if (key in query) throw new ChangeStreamError('invalid-query', `parameter "${name}" twice`)
    query[key] = value
  }
  return query
}

/** @throws {ChangeStreamError} `invalid-query` for what is no whole number from `least` to `most` */
export function readCount (name: string, text: string | undefined, { least, most, otherwise }: { least: number, most: number, otherwise: number }): number {
  if (text === undefined) return otherwise
  const count = /^\d{1,9}$/.test(text) ? Number(text) : NaN
  if (!(count >= least && count <= most)) throw new ChangeStreamError('invalid-query', `${name} must be a whole number from ${least} to ${most}, not "${clip(text)}"`)
  return count
}

/** @throws {ChangeStreamError} `invalid-where` for what is no JSON, or nested too deep */
export function readJson (text: string): unknown {
  try {
    return parseJson(text)
  } catch {
    throw new ChangeStreamError('invalid-where', `where must be JSON, such as {"age":{"$gte":18}}, of at most ${maxDepth} levels; not ${clip(text)}`)
  }
}

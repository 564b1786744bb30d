import type { BodyError } from '../protocol/errors.ts'
import { maxDepth } from '../protocol/json.ts'

const mostValues = 1_000_000

/**
 * How many values `value` holds, itself and containers counted, or `NaN` where it can't be kept as it is: not every store can keep U+0000, or
 * a surrogate without its other half, JSON can't keep what `1e400` is read as, nor a `bigint`; and what is nested too deep, or shared too often, has no end.
 */
export function countValues (value: unknown, depth = 0): number {
  if (typeof value === 'string') return isText(value) ? 1 : NaN
  if (typeof value === 'number') return Number.isFinite(value) ? 1 : NaN
  if (typeof value !== 'object') return typeof value === 'boolean' ? 1 : NaN
  if (value === null) return 1
  if (depth === maxDepth || 'toJSON' in value) return NaN
  let count = 1
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length && count <= mostValues; index++) count += countValues(value[index], depth + 1)
  } else {
    for (const key in value) {
      const item = (value as Readonly<Record<string, unknown>>)[key]
      if (item === undefined) continue // as good as absent
      if (!isText(key) || isTrap(key, item)) return NaN
      count += countValues(item, depth + 1)
      if (!(count <= mostValues)) break
    }
  }
  return count <= mostValues ? count : NaN
}

/** What is wrong with a value that can't be kept and is not nested too deep: at most `most` things. */
export function unstorable (value: unknown, path: string, most: number): BodyError[] {
  const errors: BodyError[] = []
  const look = (item: unknown, at: string): void => {
    if (errors.length >= most || (typeof item === 'object' && item !== null && countValues(item) >= 0)) return
    if (typeof item === 'string') errors.push(...isText(item) ? [] : [{ path: at, message: 'must be Unicode text without U+0000' }])
    else if (typeof item === 'number') errors.push(...Number.isFinite(item) ? [] : [{ path: at, message: 'must be a number that can be held' }])
    else if (typeof item !== 'object') errors.push(...typeof item === 'boolean' ? [] : [{ path: at, message: `must be JSON, not ${typeof item}` }])
    else if (item !== null && 'toJSON' in item) errors.push({ path: at, message: 'must be plain JSON, not an object that makes JSON of itself' })
    else if (item !== null) for (const [key, part] of Array.isArray(item) ? item.entries() : Object.entries(item)) lookInto(String(key), part, at, Array.isArray(item))
  }
  const lookInto = (key: string, part: unknown, at: string, inArray: boolean): void => {
    const inside = `${at}/${pointerPart(key)}`
    if (part === undefined && !inArray) return
    if (isTrap(key, part)) errors.push({ path: inside, message: 'has a name that is not taken' })
    else if (!isText(key)) errors.push({ path: inside, message: 'must have a name of Unicode text without U+0000' })
    else look(part, inside)
  }
  look(value, path)
  return errors.slice(0, most)
}

/** A name as a part of a JSON Pointer (RFC 6901). */
export function pointerPart (name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** Whether every store can keep `text`: it is Unicode without U+0000. */
export function isText (text: string): boolean {
  return text.isWellFormed() && !text.includes('\0')
}

/** What code that merges objects carelessly would set in every object's prototype. */
function isTrap (key: string, value: unknown): boolean {
  if (key === '__proto__') return true
  return key === 'constructor' && typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype')
}

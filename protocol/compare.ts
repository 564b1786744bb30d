import type { Scalar } from './properties.ts'

/** Orders two scalars of one type: numbers by value, strings by code point, `false` before `true`. */
export function compareScalars (a: Scalar, b: Scalar): number {
  if (typeof a === 'string' && typeof b === 'string') return compareCodePoints(a, b)
  return Number(a) - Number(b) || 0
}

/** Orders strings by code point, as UTF-8 bytes do, half a surrogate pair by its own; `<` orders by UTF-16 unit, which differs from U+E000 on. */
export function compareCodePoints (a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const x = a.charCodeAt(index)
    const y = b.charCodeAt(index)
    if (x !== y) return x < 0xd800 && y < 0xd800 ? x - y : comparePointsAt(a, b, index)
  }
  return a.length - b.length
}

/** Compares where `a` and `b` first differ, which may be the second half of a pair. */
function comparePointsAt (a: string, b: string, index: number): number {
  const start = index > 0 && isHigh(a.charCodeAt(index - 1)) && (isLow(a.charCodeAt(index)) || isLow(b.charCodeAt(index))) ? index - 1 : index
  return (a.codePointAt(start) ?? 0) - (b.codePointAt(start) ?? 0)
}

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit < 0xdc00
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000

const typeRank = (value: unknown): number => value === null || value === undefined ? 0 : typeof value === 'string' ? 2 : 1

/** Orders the values of a `sort` property: absent and `null`, then numbers (`false` is 0, `true` is 1), then strings. */
export function compareSortKeys (a: Scalar, b: Scalar): number {
  return typeRank(a) - typeRank(b) || (a === null ? 0 : compareScalars(a, b))
}

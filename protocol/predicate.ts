import type { Scalar } from './properties.ts'
import type { Condition, Where } from './where.ts'

export type Predicate = (record: unknown) => boolean

/** Compiles a `where` to a test of a record; what each operator means is told at `Where`. */
export function compile (where: Where | null): Predicate {
  if (where === null) return () => true
  if (where.kind === 'condition') return compileCondition(where)
  const parts = where.of.map(compile)
  return where.kind === 'and'
    ? record => parts.every(part => part(record))
    : record => parts.some(part => part(record))
}

function compileCondition ({ path, operator, values }: Condition): Predicate {
  const [value = null] = values
  switch (operator) {
    case 'eq': return anyElement(path, element => same(element, value))
    case 'ne': return not(anyElement(path, element => same(element, value)))
    case 'in': return anyElement(path, isOneOf(values))
    case 'nin': return not(anyElement(path, isOneOf(values)))
    case 'gt': return anyElement(path, element => sameType(element, value) && compareScalars(element, value) > 0)
    case 'gte': return anyElement(path, element => sameType(element, value) && compareScalars(element, value) >= 0)
    case 'lt': return anyElement(path, element => sameType(element, value) && compareScalars(element, value) < 0)
    case 'lte': return anyElement(path, element => sameType(element, value) && compareScalars(element, value) <= 0)
  }
}

function not (predicate: Predicate): Predicate {
  return record => !predicate(record)
}

function anyElement (path: readonly string[], test: (value: unknown) => boolean): Predicate {
  return record => {
    const value = valueAt(record, path)
    return Array.isArray(value) ? value.some(test) : test(value)
  }
}

/** The value at `path`: own properties of plain objects alone, `null` where there is none. */
export function valueAt (record: unknown, path: readonly string[]): unknown {
  let value = record
  for (const key of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key)) return null
    value = (value as Record<string, unknown>)[key]
  }
  return value ?? null
}

function same (value: unknown, scalar: Scalar): boolean {
  return value === scalar
}

function isOneOf (values: readonly Scalar[]): (value: unknown) => boolean {
  const set = new Set<unknown>(values)
  return value => set.has(value)
}

function sameType (value: unknown, scalar: Scalar): value is NonNullable<Scalar> {
  return value !== null && typeof value === typeof scalar
}

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

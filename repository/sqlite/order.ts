import type { Scalar } from '../../protocol/properties.ts'
import { type Sort, type SortKey, type SortPlace, sortLimits } from '../../protocol/sort.ts'
import { type Sql, all, always, any, jsonPath, readably } from './where.ts'

/**
 * A condition that lets through every record whose place is between two, and few others: what comes through is compared
 * anew. It is wider where SQLite reads a value less exactly than JavaScript, or more: see `zoneOf`.
 */
export function betweenSql (sort: Sort, after: SortPlace | null, before: SortPlace | null): Sql {
  return readably(all([after === null ? always : beyond(sort, after, 'after'), before === null ? always : beyond(sort, before, 'before')]))
}

/** What comes after, or before, `place`. By a key that has no path in SQL nothing is left out, nor by those after it. */
function beyond (sort: Sort, { keys, id }: SortPlace, side: 'after' | 'before'): Sql {
  return sort.reduceRight<Sql>((rest, key, index) => {
    const path = jsonPath(key.path)
    return path === null ? always : byKey(valueSql(path), keys[index] ?? null, rising(key, side), rest)
  }, { text: `id ${side === 'after' ? '>' : '<'} ?`, values: [id] })
}

/** Whether what is looked for has the greater values. */
function rising ({ descending }: SortKey, side: 'after' | 'before'): boolean {
  return (side === 'after') !== descending
}

/** `rest` decides among those that have this very value. Absent values are less than all others. */
function byKey (value: Sql, key: Scalar, greater: boolean, rest: Sql): Sql {
  const compare = (operator: string, bound: number | string): Sql => {
    const text = `${value.text} ${operator} ?`
    return { text: greater ? text : `coalesce(${text}, 1)`, values: [...value.values, bound] }
  }
  if (key === null && greater) return any([{ ...value, text: `${value.text} IS NOT NULL` }, rest])
  if (key === null) return all([{ ...value, text: `${value.text} IS NULL` }, rest])
  const { low, high, exact } = zoneOf(key)
  const reached = greater ? compare('>=', low) : high === null ? always : compare('<=', high)
  if (!exact || high === null) return reached
  const passed = greater ? compare('>', high) : compare('<', low)
  const doubtful: Sql[] = typeof key === 'string' ? [] : [{ ...value, text: `typeof(${value.text}) = 'real'` }]
  return all([reached, any([passed, ...doubtful, rest])])
}

/** The value that a record is sorted by: a scalar, or `NULL`. */
function valueSql (path: string): Sql {
  return {
    text: 'CASE WHEN json_type(record, ?) IN (\'array\', \'object\') THEN NULL ELSE record ->> ? END',
    values: [path, path]
  }
}

/**
 * All values of SQLite's that may be a key in JavaScript are between `low` and `high`; `null`: nothing is after them.
 * `exact`: those that are no reals are the key.
 */
interface Zone { readonly low: number | string, readonly high: number | string | null, readonly exact: boolean }

const wholeNumbers = 2 ** 49 // up to here the zone of one is smaller than 1

/**
 * SQLite has integers that no double holds, and reads some decimals one unit in the last place off; it compares strings
 * to their end; and it is given none that has half of a surrogate pair.
 */
function zoneOf (key: Exclude<Scalar, null>): Zone {
  if (typeof key === 'boolean') return zoneOf(Number(key))
  if (typeof key === 'string') {
    const known = wellFormedStart(key)
    return known === key && key.length < sortLimits.codePoints ? { low: key, high: key, exact: true } : { low: known, high: successor(known), exact: false }
  }
  const blur = Math.abs(key) * 2 ** -50 + Number.MIN_VALUE
  return {
    low: key === Infinity ? Number.MAX_VALUE : key - blur,
    high: key === -Infinity ? -Number.MAX_VALUE : key + blur,
    exact: Number.isInteger(key) && Math.abs(key) < wholeNumbers
  }
}

/** A string after all that begin with `text`, or `null` where there is none. */
function successor (text: string): string | null {
  const points = Array.from(text, character => character.codePointAt(0) ?? 0)
  const last = points.findLastIndex(point => point < 0x10ffff)
  if (last < 0) return null
  const next = (points[last] ?? 0) + 1
  return String.fromCodePoint(...points.slice(0, last), next === 0xd800 ? 0xe000 : next)
}

function wellFormedStart (text: string): string {
  if (text.isWellFormed()) return text
  const characters = [...text]
  return characters.slice(0, characters.findIndex(character => !character.isWellFormed())).join('')
}

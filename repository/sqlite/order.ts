import type { Scalar } from '../../protocol/properties.ts'
import type { Sort, SortKey, SortPlace } from '../../protocol/sort.ts'
import { type Sql, all, always, any, jsonPath } from './where.ts'
import { zoneOf } from './zone.ts'

/**
 * A condition that lets through every record whose place is between two, and few others: what comes through is compared
 * anew. It is wider where SQLite reads a value less exactly than JavaScript, or more: see `zoneOf`. To be asked of what SQLite can read alone: see `readably`.
 */
export function betweenSql (sort: Sort, after: SortPlace | null, before: SortPlace | null): Sql {
  return all([after === null ? always : beyond(sort, after, 'after'), before === null ? always : beyond(sort, before, 'before')])
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

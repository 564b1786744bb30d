import { ChangeStreamError } from '../../protocol/errors.ts'
import type { Scalar } from '../../protocol/properties.ts'
import type { SortPlace, Sort } from '../../protocol/sort.ts'
import type { Condition, Where } from '../../protocol/where.ts'
import type { Value } from './driver.ts'

/** A piece of SQL and what its `?`s stand for. */
export interface Sql { readonly text: string, readonly values: readonly Value[] }

const always: Sql = { text: '1', values: [] }

/**
 * A condition on column `record` that lets through every record that `where` matches, and few others: the caller tests
 * what comes through with the compiled predicate, which alone decides. It is wider than the `where` where SQLite's JSON
 * can't tell, or tells less exactly than JavaScript:
 * - it reads `true` as 1 and a missing property as `null`;
 * - before 3.53 it reads some very large and very small numbers one unit in the last place off.
 */
export function whereSql (where: Where | null): Sql {
  if (where === null) return always
  if (where.kind === 'condition') return conditionSql(where)
  const parts = where.of.map(whereSql)
  if (where.kind === 'or' && parts.includes(always)) return always
  const telling = parts.filter(part => part !== always)
  if (telling.length === 0) return always
  return {
    text: `(${telling.map(part => part.text).join(where.kind === 'and' ? ' AND ' : ' OR ')})`,
    values: telling.flatMap(part => part.values)
  }
}

function conditionSql ({ path, operator, values }: Condition): Sql {
  const pathText = jsonPath(path)
  if (pathText === null || operator === 'ne' || operator === 'nin' || !values.every(isExact)) return always
  const compared = values.map(comparable)
  const test = (value: string): string => operator === 'eq' || operator === 'in'
    ? `${value} IN (${compared.map(() => '?').join()})`
    : `${value} ${comparison[operator]} ?`
  if (values.includes(null)) return always
  const plain = test('record ->> ?')
  const inArray = `EXISTS (SELECT 1 FROM json_each(record, ?) WHERE ${test('value')})`
  return {
    text: `CASE json_type(record, ?) WHEN 'array' THEN ${inArray} ELSE ${plain} END`,
    values: [pathText, pathText, ...compared, pathText, ...compared]
  }
}

const comparison = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const

/** What comes after `place` in the order of `sort`; absent values stand first, or last where it descends. */
export function afterSql (sort: Sort, place: SortPlace | null): Sql {
  if (place === null) return always
  const keys = JSON.stringify(place.keys)
  const parts: Sql[] = []
  let equal: Sql = always
  for (const [index, { path, descending }] of sort.entries()) {
    const key = sortKeySql(path)
    const absent = (place.keys[index] ?? null) === null
    const bound: Sql = { text: 'json_extract(?, ?)', values: [keys, `$[${index}]`] } // the same conversion as on the record's side
    if (absent && !descending) parts.push(and(equal, { text: `${key.text} IS NOT NULL`, values: key.values }))
    if (!absent && !descending) parts.push(and(equal, { text: `${key.text} > ${bound.text}`, values: [...key.values, ...bound.values] }))
    if (!absent && descending) parts.push(and(equal, { text: `coalesce(${key.text} < ${bound.text}, 1)`, values: [...key.values, ...bound.values] }))
    equal = and(equal, { text: `${key.text} IS ${bound.text}`, values: [...key.values, ...bound.values] })
  }
  parts.push(and(equal, { text: 'id > ?', values: [place.id] }))
  return { text: `(${parts.map(part => `(${part.text})`).join(' OR ')})`, values: parts.flatMap(part => part.values) }
}

export function orderSql (sort: Sort): Sql {
  const keys = sort.map(({ path, descending }) => ({ ...sortKeySql(path), direction: descending ? 'DESC' : 'ASC' }))
  return {
    text: [...keys.map(key => `${key.text} ${key.direction}`), 'id ASC'].join(', '),
    values: keys.flatMap(key => key.values)
  }
}

/** The value that a record is sorted by: a scalar, or `NULL`. */
function sortKeySql (path: readonly string[]): Sql {
  const pathText = jsonPath(path)
  if (pathText === null) throw new ChangeStreamError('invalid-query', `sort: SQLite can't sort by "${path.join('.')}"`)
  return {
    text: 'CASE WHEN json_type(record, ?) IN (\'array\', \'object\') THEN NULL ELSE record ->> ? END',
    values: [pathText, pathText]
  }
}

function and (one: Sql, other: Sql): Sql {
  return one === always ? other : { text: `${one.text} AND ${other.text}`, values: [...one.values, ...other.values] }
}

/** SQLite's path to a property, or `null` where it has none: it knows no escapes in names. */
function jsonPath (path: readonly string[]): string | null {
  return path.some(key => JSON.stringify(key) !== `"${key}"`) ? null : `$${path.map(key => `."${key}"`).join('')}`
}

/** Numbers far from the ends of the range are read alike everywhere, and nothing near an end can pass for one of them. */
function isExact (value: Scalar): boolean {
  return typeof value !== 'number' || value === 0 || (Math.abs(value) > 1e-15 && Math.abs(value) < 1e15)
}

function comparable (value: Scalar): Value {
  return typeof value === 'boolean' ? Number(value) : value
}

import type { Scalar } from '../../protocol/properties.ts'
import { type Condition, type Where, conditionsOf } from '../../protocol/where.ts'
import type { Value } from './driver.ts'
import { wholeNumbers, zoneOfNumber } from './zone.ts'

/** A piece of SQL and what its `?`s stand for. */
export interface Sql { readonly text: string, readonly values: readonly Value[] }

/** What holds of every record. */
export const always: Sql = { text: '1', values: [] }

/** The most conditions that SQLite is asked: it reads the record anew for each, so that more of them are faster done here. */
const mostConditions = 8

/**
 * A condition on column `record` that lets through every record that `where` matches, and few others: the caller tests
 * what comes through with the compiled predicate, which alone decides. It is wider than the `where` where SQLite's JSON
 * can't tell, or tells less exactly than JavaScript:
 * - it reads `true` as 1 and a missing property as `null`;
 * - it has integers that no double holds, and reads some decimals one unit in the last place off.
 *
 * It is to be asked of what SQLite can read alone: see `readably`.
 */
export function whereSql (where: Where | null): Sql {
  return where === null || conditionsOf(where) > mostConditions ? always : junctionSql(where)
}

/**
 * `sql` for records of at most so many bytes that SQLite can read; the rest comes through too. Behind a `WHEN`, SQLite asks of `AND` and
 * `OR` no more than it must, and of a `version` that vouches for its record not whether that can be read.
 */
export function readably (sql: Sql, most: number): Sql {
  if (sql === always) return always
  return { text: `CASE WHEN octet_length(record) NOT BETWEEN 1 AND ? THEN 1 WHEN version <= 0 AND NOT json_valid(record) THEN 1 WHEN ${sql.text} THEN 1 ELSE 0 END`, values: [Math.floor(most), ...sql.values] }
}

/** What all of `parts` let through. */
export function all (parts: readonly Sql[]): Sql {
  return joined(parts.filter(part => part !== always), ' AND ')
}

/** What one of `parts` lets through. */
export function any (parts: readonly Sql[]): Sql {
  return parts.includes(always) ? always : joined(parts, ' OR ')
}

function joined (parts: readonly Sql[], by: string): Sql {
  if (parts.length < 2) return parts[0] ?? always
  return { text: `(${parts.map(part => part.text).join(by)})`, values: parts.flatMap(part => part.values) }
}

function junctionSql (where: Where): Sql {
  if (where.kind === 'condition') return conditionSql(where)
  return where.kind === 'and' ? all(where.of.map(junctionSql)) : any(where.of.map(junctionSql))
}

function conditionSql ({ path, operator, values }: Condition): Sql {
  const pathText = jsonPath(path)
  if (pathText === null || operator === 'ne' || operator === 'nin' || values.includes(null)) return always
  const [value = null] = values
  if (typeof value === 'number' && operator !== 'eq' && operator !== 'in') return numberRange(pathText, operator, value)
  const test = operator === 'in' ? oneOf(values) : comparison(operator, value)
  if (test === null) return always
  return {
    text: `CASE json_type(record, ?) WHEN 'array' THEN EXISTS (SELECT 1 FROM json_each(record, ?) WHERE ${test.text('value')}) ELSE ${test.text('record ->> ?')} END`,
    values: [pathText, pathText, ...test.values, pathText, ...test.values, ...(test.twice ? [pathText] : [])]
  }
}

/** To SQLite every text is greater than every number, that of an array or an object too: these come through, and each record is asked once. */
function numberRange (pathText: string, operator: keyof typeof ordering, value: number): Sql {
  const { low, high } = zoneOfNumber(value)
  if (operator === 'gt' || operator === 'gte') return { text: 'record ->> ? >= ?', values: [pathText, low] }
  return { text: 'record ->> ? NOT BETWEEN ? AND ?', values: [pathText, high + (high - value), Number.MAX_VALUE] }
}

/** A test of one value; `twice`: its text has that value twice, the second time at its end. */
interface Test { readonly values: readonly Value[], readonly twice?: boolean, text (value: string): string }

const ordering = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const

function comparison (operator: 'eq' | keyof typeof ordering, value: Scalar): Test {
  if (typeof value !== 'number') return { values: [comparable(value)], text: found => `${found} ${operator === 'eq' ? '=' : ordering[operator]} ?` }
  const { low, high } = zoneOfNumber(value) // ranges of numbers are asked otherwise
  return { values: [low, high], text: found => `${found} BETWEEN ? AND ?` }
}

/** Of numbers SQLite knows the whole ones; every real comes through. */
function oneOf (values: readonly Scalar[]): Test | null {
  const numbers = values.filter(value => typeof value === 'number')
  if (numbers.some(number => Math.abs(number) >= wholeNumbers)) return null
  const list = values.map(() => '?').join()
  if (numbers.length === 0) return { values: values.map(comparable), text: found => `${found} IN (${list})` }
  return { values: values.map(comparable), twice: true, text: found => `(${found} IN (${list}) OR typeof(${found}) = 'real')` }
}

/** SQLite's path to a property, or `null` where it has none: it knows no escapes in names. */
export function jsonPath (path: readonly string[]): string | null {
  return path.some(key => JSON.stringify(key) !== `"${key}"`) ? null : `$${path.map(key => `."${key}"`).join('')}`
}

function comparable (value: Scalar): Value {
  return typeof value === 'boolean' ? Number(value) : value
}

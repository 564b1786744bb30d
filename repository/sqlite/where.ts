import type { Scalar } from '../../protocol/properties.ts'
import type { Condition, Where } from '../../protocol/where.ts'
import type { Value } from './driver.ts'

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
 * - before 3.53 it reads some very large and very small numbers one unit in the last place off.
 */
export function whereSql (where: Where | null): Sql {
  return readably(where === null || conditionsIn(where) > mostConditions ? always : junctionSql(where))
}

/** `sql` for what SQLite can read; the rest comes through too. Behind a `WHEN`, SQLite asks of `AND` and `OR` no more than it must. */
export function readably (sql: Sql): Sql {
  return sql === always ? always : { text: `CASE WHEN NOT json_valid(record) THEN 1 WHEN ${sql.text} THEN 1 ELSE 0 END`, values: sql.values }
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

function conditionsIn (where: Where): number {
  return where.kind === 'condition' ? 1 : where.of.reduce((sum, part) => sum + conditionsIn(part), 0)
}

function junctionSql (where: Where): Sql {
  if (where.kind === 'condition') return conditionSql(where)
  return where.kind === 'and' ? all(where.of.map(junctionSql)) : any(where.of.map(junctionSql))
}

function conditionSql ({ path, operator, values }: Condition): Sql {
  const pathText = jsonPath(path)
  if (pathText === null || operator === 'ne' || operator === 'nin' || !values.every(isExact) || values.includes(null)) return always
  const compared = values.map(comparable)
  const test = (value: string): string => operator === 'eq' || operator === 'in'
    ? `${value} IN (${compared.map(() => '?').join()})`
    : `${value} ${comparison[operator]} ?`
  const plain = test('record ->> ?')
  const inArray = `EXISTS (SELECT 1 FROM json_each(record, ?) WHERE ${test('value')})`
  return {
    text: `CASE json_type(record, ?) WHEN 'array' THEN ${inArray} ELSE ${plain} END`,
    values: [pathText, pathText, ...compared, pathText, ...compared]
  }
}

const comparison = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const

/** SQLite's path to a property, or `null` where it has none: it knows no escapes in names. */
export function jsonPath (path: readonly string[]): string | null {
  return path.some(key => JSON.stringify(key) !== `"${key}"`) ? null : `$${path.map(key => `."${key}"`).join('')}`
}

/** Numbers far from the ends of the range are read alike everywhere, and nothing near an end can pass for one of them. */
function isExact (value: Scalar): boolean {
  return typeof value !== 'number' || value === 0 || (Math.abs(value) > 1e-15 && Math.abs(value) < 1e15)
}

function comparable (value: Scalar): Value {
  return typeof value === 'boolean' ? Number(value) : value
}

import { ChangeStreamError } from './errors.ts'
import { clip, maxDepth, show } from './json.ts'
import type { Properties, Property, Scalar } from './properties.ts'

export type Operator = 'eq' | 'ne' | 'gt' | 'gte' | 'lt' | 'lte' | 'in' | 'nin'

/** One property compared with one value, or with several for `in` and `nin`. */
export interface Condition {
  readonly kind: 'condition'
  readonly path: readonly string[]
  readonly operator: Operator
  readonly values: readonly Scalar[]
}

/** Some `where`s, all or one of which must hold. */
export interface Junction {
  readonly kind: 'and' | 'or'
  readonly of: readonly Where[]
}

/**
 * A `where` (contract §4) taken apart. What it means, in memory and in every store:
 * - an absent property is `null`; a property inside something that is no object is absent;
 * - `eq` holds for the same JSON scalar; `-0` is `0`; a number never equals a string or a boolean;
 * - `gt gte lt lte` hold between scalars of one type: numbers by value, strings by code point, `false` before `true`,
 *   and never for `null`;
 * - in an array, `eq gt gte lt lte in` hold if they hold for one of its elements; `ne` and `nin` are the opposites of
 *   `eq` and `in`, so they hold for an absent property too.
 */
export type Where = Condition | Junction

const operators: Readonly<Record<string, Operator>> = {
  $ne: 'ne', $gt: 'gt', $gte: 'gte', $lt: 'lt', $lte: 'lte', $in: 'in', $nin: 'nin'
}
const known = ['$and', '$or', ...Object.keys(operators)].join(', ')

/** The most values in all the conditions of a `where`: as many as a message of `maxMessage` may hold by default. */
const mostValues = 8192

/**
 * Reads a `where` and checks it against the schema and the limits of `properties`.
 * @param input parsed JSON; `null`, `undefined` and `{}` match every record
 * @returns the condition in a canonical order, or `null` where every record matches
 * @throws {ChangeStreamError} `invalid-where`, naming the property, operator or value
 */
export function parseWhere (input: unknown, properties: Properties): Where | null {
  if (input === undefined || input === null) return null
  const parser = new Parser(properties)
  return parser.junction(input, 1, 'where')
}

/** Equal text for equal conditions, whatever order they were written in. */
export function whereKey (where: Where | null): string {
  return where === null ? '' : JSON.stringify(where)
}

/** How many conditions there are in it. */
export function conditionsOf (where: Where | null): number {
  if (where === null) return 0
  return where.kind === 'condition' ? 1 : where.of.reduce((sum, part) => sum + conditionsOf(part), 0)
}

class Parser {
  readonly #properties: Properties
  #conditions = 0
  #values = 0

  constructor (properties: Properties) {
    this.#properties = properties
  }

  junction (input: unknown, level: number, at: string): Where | null {
    if (!isPlainObject(input)) throw refusal(`${at} must be an object, not ${show(input)}`)
    const { levels } = this.#properties.limits
    if (level > levels) throw refusal(`where is more than ${levels} levels deep`)
    const parts: (Where | null)[] = []
    for (const [key, value] of Object.entries(input)) {
      if (key === '$and') parts.push(this.#list('and', value, level, at))
      else if (key === '$or') parts.push(this.#list('or', value, level, at))
      else if (key.startsWith('$')) throw refusal(`unknown operator "${clip(key)}"; there are ${known}`)
      else parts.push(...this.#property(key, value))
    }
    return joined('and', parts)
  }

  #list (kind: 'and' | 'or', value: unknown, level: number, at: string): Where | null {
    if (!Array.isArray(value) || value.length === 0) throw refusal(`$${kind} must be an array with at least one condition`)
    return joined(kind, value.map((item, index) => this.junction(item, level + 1, `${at}.$${kind}[${index}]`)))
  }

  #property (name: string, value: unknown): Condition[] {
    const path = name.split('.')
    const told = `"${clip(name)}"`
    if (path.length > maxDepth) throw refusal(`property ${told} is deeper than ${maxDepth} levels`)
    const property = this.#properties.at(path)
    if (!property) {
      throw refusal(this.#properties.has(path[0] ?? '')
        ? `property ${told} has no plain values to compare with; name a property inside it`
        : `unknown property ${told}`)
    }
    if (!isPlainObject(value)) return [this.#condition(told, path, property, 'eq', [value])]
    const entries = Object.entries(value)
    if (entries.length === 0) throw refusal(`${told} must be compared with a value or an operator, not {}`)
    return entries.map(([key, operand]) => {
      const operator = Object.hasOwn(operators, key) ? operators[key] : undefined
      if (!operator) throw refusal(`unknown operator "${clip(key)}" for ${told}; there are ${known}`)
      if (operator !== 'in' && operator !== 'nin') return this.#condition(told, path, property, operator, [operand])
      if (!Array.isArray(operand)) throw refusal(`${key} of ${told} must be an array, not ${show(operand)}`)
      return this.#condition(told, path, property, operator, operand)
    })
  }

  #condition (told: string, path: string[], property: Property, operator: Operator, operands: readonly unknown[]): Condition {
    const { conditions } = this.#properties.limits
    if (++this.#conditions > conditions) throw refusal(`where has more than ${conditions} conditions`)
    this.#values += operands.length
    if (this.#values > mostValues) throw refusal(`where has more than ${mostValues} values`)
    const ordering = operator !== 'eq' && operator !== 'ne' && operator !== 'in' && operator !== 'nin'
    const distinct = inOrder(new Set(operands.map(operand => checked(told, property, operand, ordering))))
    if (distinct.length === 1 && operator === 'in') return { kind: 'condition', path, operator: 'eq', values: distinct }
    if (distinct.length === 1 && operator === 'nin') return { kind: 'condition', path, operator: 'ne', values: distinct }
    return { kind: 'condition', path, operator, values: distinct }
  }
}

function checked (told: string, property: Property, operand: unknown, ordering: boolean): Scalar {
  const type = operand === null ? 'null' : typeof operand
  if (type !== 'null' && type !== 'string' && type !== 'number' && type !== 'boolean') {
    throw refusal(`${told} is compared with ${show(operand)}; it must be a ${expected(property)}`)
  }
  if (!property.scalars.has(type) || (ordering && type === 'null')) {
    throw refusal(`${told} is compared with ${show(operand)}; it is a ${expected(property)}`)
  }
  const value = operand as Scalar
  if (typeof value === 'number' && !Number.isFinite(value)) throw refusal(`${told} is compared with a number too large to hold`)
  if (typeof value === 'string' && !value.isWellFormed()) throw refusal(`${told} is compared with text that is not Unicode`)
  return value === 0 ? 0 : value // -0 is 0
}

/** `parts` as one: nested junctions of the same kind opened, doubles left out, in a fixed order; `null` matches everything. */
function joined (kind: 'and' | 'or', parts: readonly (Where | null)[]): Where | null {
  const open: Where[] = []
  for (const part of parts) {
    if (part === null && kind === 'or') return null
    if (part !== null) open.push(...(part.kind === kind ? part.of : [part]))
  }
  const distinct = [...new Map(open.map(part => [whereKey(part), part])).entries()]
    .sort(([a], [b]) => a < b ? -1 : 1)
    .map(([, part]) => part)
  return distinct.length < 2 ? distinct[0] ?? null : { kind, of: distinct }
}

/** In the order of their JSON. */
function inOrder (values: ReadonlySet<Scalar>): Scalar[] {
  if (values.size === 1) return [...values]
  return [...values].map(value => ({ value, text: JSON.stringify(value) })).sort((a, b) => a.text < b.text ? -1 : 1).map(({ value }) => value)
}

function expected (property: Property): string {
  return [...property.scalars].sort((a, b) => Number(a === 'null') - Number(b === 'null')).join(' or ')
}

function isPlainObject (value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function refusal (detail: string): ChangeStreamError {
  return new ChangeStreamError('invalid-where', detail)
}

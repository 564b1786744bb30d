import { compareScalars } from './compare.ts'
import { type Elements, elementsOf } from './elements.ts'
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
  switch (operator) {
    case 'ne':
    case 'nin': {
      const matches = anyElement(path, oneOf(values))
      return record => !matches(record)
    }
    case 'eq':
    case 'in': return anyElement(path, oneOf(values))
    default: return anyElement(path, ordered(operator, values[0] ?? null))
  }
}

/** What a condition asks of a value, and whether any element of a long array answers to it. */
interface Test {
  one (value: unknown): boolean
  any (elements: Elements): boolean
}

function anyElement (path: readonly string[], { one, any }: Test): Predicate {
  return record => {
    const value = valueAt(record, path)
    if (!Array.isArray(value)) return one(value)
    const elements = elementsOf(value)
    return elements ? any(elements) : value.some(one)
  }
}

function oneOf (values: readonly Scalar[]): Test {
  const [value = null] = values
  const set = new Set<unknown>(values)
  return {
    one: set.size === 1 ? found => found === value : found => set.has(found),
    any: ({ scalars }) => values.some(wanted => scalars.has(wanted))
  }
}

function ordered (operator: 'gt' | 'gte' | 'lt' | 'lte', scalar: Scalar): Test {
  const holds = orderings[operator]
  const side = operator === 'gt' || operator === 'gte' ? 'greatest' : 'least'
  return {
    one: found => found !== null && typeof found === typeof scalar && holds(compareScalars(found as Scalar, scalar)),
    any: elements => {
      const extremes = elements.extremes(scalar)
      return extremes !== undefined && holds(compareScalars(extremes[side], scalar))
    }
  }
}

const orderings = {
  gt: (order: number) => order > 0,
  gte: (order: number) => order >= 0,
  lt: (order: number) => order < 0,
  lte: (order: number) => order <= 0
} as const

/** The value at `path`: own properties of plain objects alone, `null` where there is none. */
export function valueAt (record: unknown, path: readonly string[]): unknown {
  let value = record
  for (const key of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key)) return null
    value = (value as Record<string, unknown>)[key]
  }
  return value ?? null
}

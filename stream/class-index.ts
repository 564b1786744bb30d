import type { Json, LogEntry } from '../protocol/change.ts'
import { scalarsOf } from '../protocol/elements.ts'
import { valueAt } from '../protocol/predicate.ts'
import type { Scalar } from '../protocol/properties.ts'
import type { Condition, Where } from '../protocol/where.ts'
import type { FilterClass } from './filter-class.ts'

/** Values that one class may be found by; more of them, and it is scanned. */
const mostValues = 128

/** The classes that want one of some values of one property: most values have one class, which needs no set. */
interface Property {
  readonly path: readonly string[]
  readonly classes: Map<Scalar, FilterClass | Set<FilterClass>>
}

/** A place in the index: a class is found where one of the conditions may hold. */
type Access = readonly Condition[]

/**
 * Finds the classes that a change may concern without asking each: a `where` that can only hold where some property has
 * one of a few values (`{"id":"…"}`, `{"job":{"$in":[…]}}`, also inside `$and`, and in every branch of an `$or`) is found by these
 * values in the record before and after; the others are scanned. It never misses a class, and finds few in vain.
 */
export class ClassIndex {
  readonly #properties = new Map<string, Property>()
  readonly #scanned = new Set<FilterClass>()
  readonly #accesses = new Map<FilterClass, Access | null>()

  add (filterClass: FilterClass): void {
    const access = accessOf(filterClass.filter.where)
    this.#accesses.set(filterClass, access)
    if (!access) this.#scanned.add(filterClass)
    else for (const { path, values } of access) for (const value of values) this.#note(path, value, filterClass)
  }

  delete (filterClass: FilterClass): void {
    const access = this.#accesses.get(filterClass) ?? []
    this.#accesses.delete(filterClass)
    this.#scanned.delete(filterClass)
    for (const { path, values } of access) for (const value of values) this.#forget(path, value, filterClass)
  }

  /** Every class whose `where` matches the record before or after the change, each once, and maybe others. */
  candidates (entry: LogEntry): Iterable<FilterClass> {
    if (this.#properties.size === 0) return this.#scanned
    const found = new Set(this.#scanned)
    for (const { path, classes } of this.#properties.values()) {
      for (const record of [entry.record, entry.before]) {
        if (!record) continue
        for (const value of valuesAt(record, path)) {
          const wanting = classes.get(value)
          if (wanting instanceof Set) for (const filterClass of wanting) found.add(filterClass)
          else if (wanting) found.add(wanting)
        }
      }
    }
    return found
  }

  #note (path: readonly string[], value: Scalar, filterClass: FilterClass): void {
    const name = JSON.stringify(path)
    const property = this.#properties.get(name) ?? { path, classes: new Map() }
    this.#properties.set(name, property)
    const wanting = property.classes.get(value)
    if (wanting instanceof Set) wanting.add(filterClass)
    else property.classes.set(value, wanting && wanting !== filterClass ? new Set([wanting, filterClass]) : filterClass)
  }

  #forget (path: readonly string[], value: Scalar, filterClass: FilterClass): void {
    const name = JSON.stringify(path)
    const property = this.#properties.get(name)
    const wanting = property?.classes.get(value)
    if (wanting instanceof Set) wanting.delete(filterClass)
    if (wanting === filterClass || (wanting instanceof Set && wanting.size === 0)) property?.classes.delete(value)
    if (property?.classes.size === 0) this.#properties.delete(name)
  }
}

/** Conditions of which one must hold for `where` to hold, each with few values; `null` where there are none. */
function accessOf (where: Where | null): Access | null {
  if (where === null) return null
  if (where.kind === 'condition') {
    const few = where.operator === 'eq' || (where.operator === 'in' && where.values.length <= mostValues)
    return few ? [where] : null
  }
  const parts = where.of.map(accessOf)
  if (where.kind === 'and') return parts.filter(part => part !== null).sort((a, b) => cost(a) - cost(b))[0] ?? null
  const branches = parts.flatMap(part => part ?? [])
  return parts.includes(null) || values(branches) > mostValues ? null : branches
}

/** An `id` finds one record; else the fewer values, the fewer records. */
function cost (access: Access): number {
  return access.every(({ path }) => path[0] === 'id') ? 0 : values(access)
}

function values (access: Access): number {
  return access.reduce((sum, condition) => sum + condition.values.length, 0)
}

function valuesAt (record: Json, path: readonly string[]): Iterable<Scalar> {
  const value = valueAt(record, path)
  return Array.isArray(value) ? scalarsOf(value) : [value as Scalar]
}

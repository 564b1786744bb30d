import { ChangeStreamError } from './errors.ts'
import { compareCodePoints, compareSortKeys, valueAt } from './predicate.ts'
import type { Properties, Scalar } from './properties.ts'
import type { Json } from './change.ts'

export interface SortKey { readonly path: readonly string[], readonly descending: boolean }

/** What a list is sorted by; ties are in order of `id` (contract §2). */
export type Sort = readonly SortKey[]

/** Where a record stands in a sorted list: its value for each key, then its `id`. */
export interface SortPlace { readonly keys: readonly Scalar[], readonly id: string }

/**
 * Reads `lastName,-age`.
 * @throws {ChangeStreamError} `invalid-query`, naming a property that is unknown, doubled, or has no order
 */
export function parseSort (text: string, properties: Properties): Sort {
  const seen = new Set<string>()
  return text.split(',').map(part => {
    const descending = part.startsWith('-')
    const name = part.slice(descending ? 1 : 0).trim()
    const path = name.split('.')
    const property = properties.at(path)
    if (!property || property.array) throw new ChangeStreamError('invalid-query', `sort: ${property ? 'no order among' : 'unknown property'} "${name}"`)
    if (seen.has(name)) throw new ChangeStreamError('invalid-query', `sort: "${name}" twice`)
    seen.add(name)
    return { path, descending }
  })
}

export function placeOf (record: Json, sort: Sort): SortPlace {
  return { keys: sort.map(key => sortable(valueAt(record, key.path))), id: record.id }
}

export function comparePlaces (a: SortPlace, b: SortPlace, sort: Sort): number {
  for (const [index, key] of sort.entries()) {
    const order = compareSortKeys(a.keys[index] ?? null, b.keys[index] ?? null)
    if (order !== 0) return key.descending ? -order : order
  }
  return compareCodePoints(a.id, b.id)
}

function sortable (value: unknown): Scalar {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null
}

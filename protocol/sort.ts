import { ChangeStreamError } from './errors.ts'
import { show } from './json.ts'
import { compareCodePoints, compareSortKeys } from './compare.ts'
import { valueAt } from './predicate.ts'
import type { Properties, Scalar } from './properties.ts'

export interface SortKey { readonly path: readonly string[], readonly descending: boolean }

/** What a list is sorted by, at most `sortLimits.keys`; ties are in order of `id`. */
export type Sort = readonly SortKey[]

/** Where a record stands in a sorted list: its value for each key, of a string what is compared of it, then its `id`. */
export interface SortPlace { readonly keys: readonly Scalar[], readonly id: string }

/** The most keys of a sort, and how many code points of a string are compared. So a place is small, whatever records hold. */
export const sortLimits = { keys: 4, codePoints: 256 } as const

/**
 * Reads `lastName,-age`.
 * @throws {ChangeStreamError} `invalid-query`, naming a property that is unknown, doubled, or has no order, or more than four
 */
export function parseSort (text: string, properties: Properties): Sort {
  const seen = new Set<string>()
  const parts = text.split(',')
  if (parts.length > sortLimits.keys) throw new ChangeStreamError('invalid-query', `sort: at most ${sortLimits.keys} properties, not ${parts.length}`)
  return parts.map(part => {
    const descending = part.startsWith('-')
    const name = part.slice(descending ? 1 : 0).trim()
    const path = name.split('.')
    const property = properties.at(path)
    if (!property || property.array) throw new ChangeStreamError('invalid-query', `sort: ${property ? 'no order among' : 'unknown property'} ${show(name)}`)
    if (seen.has(name)) throw new ChangeStreamError('invalid-query', `sort: ${show(name)} twice`)
    seen.add(name)
    return { path, descending }
  })
}

const noKeys: readonly Scalar[] = []

/** The values that `record` is sorted by. */
export function sortKeysOf (record: unknown, sort: Sort): readonly Scalar[] {
  return sort.length === 0 ? noKeys : sort.map(key => sortable(valueAt(record, key.path)))
}

export function comparePlaces (a: SortPlace, b: SortPlace, sort: Sort): number {
  for (let index = 0; index < sort.length; index++) {
    const order = compareSortKeys(a.keys[index] ?? null, b.keys[index] ?? null)
    if (order !== 0) return sort[index]?.descending ? -order : order
  }
  return compareCodePoints(a.id, b.id)
}

function sortable (value: unknown): Scalar {
  if (typeof value === 'string') return compared(value)
  return typeof value === 'number' || typeof value === 'boolean' ? value : null
}

/** What is compared of a string: a copy, since a slice would keep the whole. */
function compared (text: string): string {
  if (text.length <= sortLimits.codePoints) return text
  const points: number[] = []
  for (const character of text) {
    points.push(character.codePointAt(0) ?? 0)
    if (points.length === sortLimits.codePoints) break
  }
  return String.fromCodePoint(...points)
}

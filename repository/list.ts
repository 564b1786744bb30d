import type { Json } from '../protocol/change.ts'
import { compile } from '../protocol/predicate.ts'
import { comparePlaces, placeOf } from '../protocol/sort.ts'
import type { ListQuery } from './store.ts'

/** One page of `candidates` in the order that `query` asks for, and whether more follow. */
export function pageOf<T> (candidates: Iterable<T>, read: (candidate: T) => Json, { where, sort, limit, after }: ListQuery): { records: T[], more: boolean } {
  const matches = compile(where)
  const found = []
  for (const candidate of candidates) {
    const record = read(candidate)
    if (!matches(record)) continue
    const place = placeOf(record, sort)
    if (after === null || comparePlaces(place, after, sort) > 0) found.push({ candidate, place })
  }
  found.sort((a, b) => comparePlaces(a.place, b.place, sort))
  return { records: found.slice(0, limit).map(({ candidate }) => candidate), more: found.length > limit }
}

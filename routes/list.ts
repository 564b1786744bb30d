import { parseFields } from '../protocol/filter.ts'
import type { Properties } from '../protocol/properties.ts'
import { type SortPlace, parseSort } from '../protocol/sort.ts'
import { parseWhere } from '../protocol/where.ts'
import type { Versioned } from '../repository/repository.ts'
import type { ListQuery } from '../repository/store.ts'
import { ownPath } from './own-path.ts'
import { readPlace, writePlace } from './place.ts'
import { readCount, readJson, readQuery } from './query.ts'

const parameters = ['where', 'sort', 'limit', 'after', 'fields'] as const

/** A list request, read and checked. */
export interface ListRequest {
  readonly query: ListQuery
  /** The address of the page behind a place. */
  addressOf (next: SortPlace): string
}

/**
 * @param maxPage the most JSON in a page, bytes
 * @throws {ChangeStreamError} `invalid-query` or `invalid-where`, naming the parameter
 */
export function readListRequest (url: string, properties: Properties, maxPage: number): ListRequest {
  const query = readQuery(url, parameters)
  const { sort = '', where } = query
  const keys = query.sort === undefined ? [] : parseSort(query.sort, properties)
  return {
    query: {
      where: where === undefined ? null : parseWhere(readJson(where), properties),
      sort: keys,
      limit: readCount('limit', query.limit, { least: 1, most: 1000, otherwise: 100 }),
      after: query.after === undefined ? null : readPlace(query.after, sort, keys.length),
      fields: parseFields(query.fields, properties),
      bytes: maxPage
    },
    addressOf: next => `${ownPath(url)}?${new URLSearchParams({ ...query, after: writePlace(next, sort) })}`
  }
}

/** The media type of a record, a list of them, and a page of the feed. */
export const jsonType = 'application/json; charset=utf-8'

/** Records as a JSON array. */
export function listJson (items: readonly Versioned[]): string {
  return `[${items.map(item => item.json).join()}]`
}

import type { Json } from '../protocol/change.ts'
import { ChangeStreamError } from '../protocol/errors.ts'
import { pick } from '../protocol/fields.ts'
import { parseFields } from '../protocol/filter.ts'
import type { Properties, Scalar } from '../protocol/properties.ts'
import { type SortPlace, parseSort, placeOf } from '../protocol/sort.ts'
import { parseWhere } from '../protocol/where.ts'
import type { Versioned } from '../repository/repository.ts'
import type { ListQuery } from '../repository/store.ts'
import { readCount, readJson, readQuery } from './query.ts'

const parameters = ['where', 'sort', 'limit', 'after', 'fields'] as const

/** A list request, read and checked. */
export interface ListRequest {
  readonly query: ListQuery
  readonly fields: readonly string[] | null
  /** The address of the page behind `last`. */
  next (last: Versioned): string
}

/** @throws {ChangeStreamError} `invalid-query` or `invalid-where`, naming the parameter */
export function readListRequest (url: string, properties: Properties): ListRequest {
  const query = readQuery(url, parameters)
  const sort = query.sort === undefined ? [] : parseSort(query.sort, properties)
  const sortText = query.sort ?? ''
  return {
    query: {
      where: query.where === undefined ? null : parseWhere(readJson(query.where), properties),
      sort,
      limit: readCount('limit', query.limit, { least: 1, most: 1000, otherwise: 100 }),
      after: query.after === undefined ? null : readPlace(query.after, sortText, sort.length)
    },
    fields: parseFields(query.fields, properties),
    next (last) {
      const after = writePlace(placeOf(last.record as Json, sort), sortText)
      return `${url.split('?', 1)[0]}?${new URLSearchParams({ ...query, after })}`
    }
  }
}

/** The page as JSON. */
export function listJson (items: readonly Versioned[], fields: readonly string[] | null): string {
  const texts = fields === null ? items.map(item => item.json) : items.map(item => JSON.stringify(pick(item.record as Json, fields)))
  return `[${texts.join()}]`
}

function writePlace ({ keys, id }: SortPlace, sortText: string): string {
  return Buffer.from(JSON.stringify([sortText, keys, id])).toString('base64url')
}

function readPlace (text: string, sortText: string, length: number): SortPlace {
  const refusal = new ChangeStreamError('invalid-query', 'after must be one that a Link header gave, for the same sort')
  try {
    const [sort, keys, id] = JSON.parse(Buffer.from(text, 'base64url').toString()) as unknown[]
    if (sort === sortText && Array.isArray(keys) && keys.length === length && keys.every(isScalar) && typeof id === 'string') return { keys, id }
  } catch {
    throw refusal
  }
  throw refusal
}

function isScalar (value: unknown): value is Scalar {
  return typeof value !== 'object' || value === null
}

import { ChangeStreamError } from './errors.ts'
import { parseJson, show } from './json.ts'
import type { Properties } from './properties.ts'
import { type Where, parseWhere, whereKey } from './where.ts'

/** The kinds of change a subscriber may ask for; `deletes` covers leaves too (contract §4). */
export const kinds = ['all', 'saves', 'deletes'] as const

export type Kinds = typeof kinds[number]

/** Which changes a subscriber wants, and how much of each record. */
export interface Filter {
  readonly kinds: Kinds
  readonly where: Where | null
  /** The condition as the subscriber wrote it, to be told back. */
  readonly whereSource: unknown
  /** The properties to send besides `id`; `null` for all. */
  readonly fields: readonly string[] | null
}

export const everything: Filter = { kinds: 'all', where: null, whereSource: null, fields: null }

/** A filter as messages carry it (contract §3.2). */
export interface FilterMessage { readonly filter: Kinds, readonly where: unknown, readonly fields: string[] | null }

/** Equal text for filters that ask the same, and for no others. */
export function filterKey (filter: Filter): string {
  return `${filter.kinds}|${fieldsKey(filter.fields)}|${whereKey(filter.where)}`
}

/** Equal text for equal `fields`, and for no others: a name may hold a comma. */
export function fieldsKey (fields: readonly string[] | null): string {
  return fields === null ? '*' : JSON.stringify(fields)
}

export function toMessage (filter: Filter): FilterMessage {
  return { filter: filter.kinds, where: filter.whereSource, fields: filter.fields?.length === 0 ? ['id'] : filter.fields && [...filter.fields] }
}

/** @throws {ChangeStreamError} `invalid-query` for anything but one of `kinds` */
export function parseKinds (text: unknown): Kinds {
  const found = kinds.find(kind => kind === text)
  if (!found) throw new ChangeStreamError('invalid-query', `filter must be one of ${kinds.join(', ')}, not ${show(text)}`)
  return found
}

/**
 * `fields`: the top-level properties to send.
 * @param input names, or text as a query has it: names separated by commas, or, where it starts with `[`, a JSON array of them
 * @returns them sorted, each once, without `id`, which is always sent
 * @throws {ChangeStreamError} `invalid-query`, naming what the schema does not know
 */
export function parseFields (input: unknown, properties: Properties): readonly string[] | null {
  if (input === undefined || input === null) return null
  const names = typeof input === 'string' ? readNames(input) : input
  if (!Array.isArray(names)) throw new ChangeStreamError('invalid-query', 'fields must be a list of properties')
  for (const name of names) {
    if (typeof name !== 'string' || !properties.has(name)) throw new ChangeStreamError('invalid-query', `fields: unknown property ${show(name)}`)
  }
  return [...new Set<string>(names)].filter(name => name !== 'id').sort()
}

function readNames (text: string): unknown {
  if (!text.trimStart().startsWith('[')) return text.split(',').map(name => name.trim())
  try {
    return parseJson(text)
  } catch {
    throw new ChangeStreamError('invalid-query', `fields that start with [ must be a JSON array of properties, not ${show(text)}`)
  }
}

/** `filter` with what `changes` names; what it leaves out stays, and `null` takes a `where` or `fields` away. */
export function refine (filter: Filter, changes: { filter?: unknown, where?: unknown, fields?: unknown }, properties: Properties): Filter {
  const where = 'where' in changes ? { where: parseWhere(changes.where, properties), whereSource: changes.where ?? null } : {}
  const fields = 'fields' in changes ? { fields: parseFields(changes.fields, properties) } : {}
  const kinds = 'filter' in changes ? { kinds: changes.filter === null ? 'all' : parseKinds(changes.filter) } as const : {}
  return { ...filter, ...where, ...fields, ...kinds }
}

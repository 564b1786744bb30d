import type { Json } from '../protocol/change.ts'
import { pick } from '../protocol/fields.ts'
import type { Stored } from '../protocol/log.ts'
import { type Predicate, compile } from '../protocol/predicate.ts'
import { type SortPlace, comparePlaces, sortKeysOf } from '../protocol/sort.ts'
import type { Lane, ReadBudget } from './read-budget.ts'
import type { ListQuery, Listing } from './store.ts'

/** The most JSON in a page of a list, bytes, where nothing else is said. */
export const defaultPage = 1_048_576

interface Item { readonly stored: Stored, readonly place: SortPlace, readonly size: number }

/**
 * The page of a list that has been found so far: of all that were offered, in whatever order, the first ones that fit into
 * `limit` and `bytes`, though always one. What does not fit is let go at once, since later records can only push it further
 * back; so no more is held than a page and the record that is being offered.
 */
export class PageBuilder {
  readonly #query: ListQuery
  readonly #most: number
  readonly #matches: Predicate | null
  readonly #items: Item[] = []
  #size = 0
  #end: SortPlace | null = null

  constructor (query: ListQuery) {
    this.#query = query
    this.#most = query.bytes ?? defaultPage
    this.#matches = query.where && compile(query.where)
  }

  /** The place of the first record that was let go: from there on nothing is in the page. `null` while all have fitted. */
  get end (): SortPlace | null {
    return this.#end
  }

  /** Offers a record that was not offered before; `parsed` where it has been. */
  offer (stored: Stored, parsed?: Json): void {
    const { where, sort, fields = null, after } = this.#query
    const record = parsed ?? (where !== null || sort.length > 0 || fields !== null ? parse(stored) : null)
    if (this.#matches?.(record) === false) return
    const place = { keys: sortKeysOf(record, sort), id: stored.id }
    if (after !== null && comparePlaces(place, after, sort) <= 0) return
    if (this.#end !== null && comparePlaces(place, this.#end, sort) >= 0) return
    const item = fields === null || record === null ? stored : { ...stored, json: JSON.stringify(pick(record, fields)) }
    this.#insert({ stored: item, place, size: Buffer.byteLength(item.json) + 1 })
  }

  /** The page, when all that could be in it were offered. */
  listing (position: number): Listing {
    return {
      records: this.#items.map(item => item.stored),
      next: this.#end === null ? null : this.#items.at(-1)?.place ?? null,
      position
    }
  }

  #insert (item: Item): void {
    this.#items.splice(this.#indexFor(item.place), 0, item)
    this.#size += item.size
    while (this.#items.length > this.#query.limit || (this.#size > this.#most && this.#items.length > 1)) {
      const cut = this.#items.pop()
      this.#size -= cut?.size ?? 0
      this.#end = cut?.place ?? null
    }
  }

  #indexFor (place: SortPlace): number {
    const items = this.#items
    let low = 0
    let high = items.length
    let middle = high - 1 // in order of id, each comes last
    while (low < high) {
      if (comparePlaces((items[middle] as Item).place, place, this.#query.sort) < 0) low = middle + 1
      else high = middle
      middle = (low + high) >> 1
    }
    return low
  }
}

function parse (stored: Stored): Json {
  return JSON.parse(stored.json) as Json
}

/** Where a list's records come from, window by window, all of one position. */
export interface Candidates {
  readonly position: number
  readonly done: boolean
  /** Offers the records of the next window that may be in the page. Each window is a few milliseconds' work. */
  next (page: PageBuilder): void
  close (): void
}

/**
 * Reads one page, in turns with everything else that is read. A page in order of id with no `where`, which the first window
 * brings, waits for none of the longer lists.
 * @param open is called when the first window's turn has come
 * @param signal stops it before its next window
 */
export async function readPage (query: ListQuery, open: () => Candidates, budget: ReadBudget, signal?: AbortSignal): Promise<Listing> {
  const byId = query.sort.length === 0
  const page = new PageBuilder(query)
  let lane: Lane = byId && query.where === null ? 'page' : 'list'
  let candidates: Candidates | undefined
  const window = (): Candidates => {
    signal?.throwIfAborted()
    candidates ??= open()
    candidates.next(page)
    return candidates
  }
  let leave = lane === 'page' ? null : budget.tryEnter() ?? await budget.enter(signal)
  try {
    for (;;) {
      const { done, position } = await budget.run(lane, window)
      if (done || (byId && page.end !== null)) return page.listing(position)
      leave ??= budget.tryEnter() ?? await budget.enter(signal)
      lane = 'list'
    }
  } finally {
    try {
      candidates?.close()
    } finally {
      leave?.()
    }
  }
}

import { ChangeStreamError } from '../../protocol/errors.ts'
import type { Stored } from '../../protocol/log.ts'
import { type Candidates, type PageBuilder, readPage } from '../list.ts'
import type { ReadBudget } from '../read-budget.ts'
import type { ListQuery, Listing } from '../store.ts'
import type { Database } from './database.ts'
import { betweenSql } from './order.ts'
import { Scan } from './scan.ts'

const tries = 3

/** What a list needs of its store. */
export interface ListHost {
  readonly database: Database
  readonly budget: ReadBudget
  /** Reads the newest position. */
  head (): number
  /** Runs `read` while the store is open; its errors become ours. */
  guard<T> (read: () => T): T
}

/** One page of a list, of one position. */
export async function list (host: ListHost, query: ListQuery, signal?: AbortSignal): Promise<Listing> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readPage(query, () => new Search(host, query), host.budget, signal)
    } catch (error) {
      if (!(error instanceof ChangeStreamError && error.code === 'gone')) throw error
      if (attempt === tries) throw new ChangeStreamError('unavailable', 'the log is trimmed faster than the list can be read', { cause: error, retryAfter: 1000 })
    }
  }
}

/** The records that a list looks through. */
class Search implements Candidates {
  readonly position: number
  readonly #host: ListHost
  readonly #query: ListQuery
  readonly #scan: Scan
  #windows = 0

  constructor (host: ListHost, query: ListQuery) {
    const { where, sort, limit, after, fields = null } = query
    this.position = host.head()
    this.#host = host
    this.#query = query
    const simple = sort.length === 0 && where === null // the page itself is the window
    this.#scan = new Scan(host.database, {
      position: this.position,
      where,
      ...(sort.length === 0 && after !== null && { after: after.id }),
      ...(simple && { rows: limit + 1 }),
      ...(simple && fields === null && { bytes: Infinity })
    })
  }

  get done (): boolean {
    return this.#scan.done
  }

  /** Sorted records often are in the order of their ids too, or the other way round: read from both ends, few of them are in the page for a while only. */
  next (page: PageBuilder): void {
    const { sort, after } = this.#query
    this.#host.guard(() => {
      if (sort.length === 0) this.#scan.next(stored => this.#offer(page, stored))
      else this.#scan.next(stored => this.#offer(page, stored), this.#windows++ % 2 === 0 ? 'first' : 'last', betweenSql(sort, after, page.end))
    })
  }

  close (): void {
    try {
      this.#host.guard(() => this.#scan.close())
    } catch {} // the file is gone or closed, and with it what there is to clear away
  }

  #offer (page: PageBuilder, stored: Stored): boolean {
    page.offer(stored)
    return this.#query.sort.length > 0 || page.end === null
  }
}

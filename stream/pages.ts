import { ChangeStreamError } from '../protocol/errors.ts'
import type { Log, LogPage } from '../protocol/log.ts'
import { EncodedChange } from './encoded.ts'
import { indexAfter } from './search.ts'

/** Positions in a page: small enough for a slice of work, large enough to be worth a query. */
const pageLength = 256

interface Page { readonly changes: Promise<readonly EncodedChange[]>, size: number }

/**
 * Reads the log for those who are behind. Whole pages are kept for a while, so that many who come back at once, each
 * from somewhere else, share what was read and encoded for the first.
 */
export class Pages {
  readonly #log: Log
  readonly #limit: number
  /** By number of the page, the least recently used first. */
  readonly #pages = new Map<number, Page>()
  #size = 0

  /** @param limit bytes of pages to keep */
  constructor (log: Log, limit: number) {
    this.#log = log
    this.#limit = limit
  }

  /**
   * Some changes right behind `position`.
   * @throws {ChangeStreamError} `gone` where the log does not reach back to `position`
   */
  async after (position: number): Promise<readonly EncodedChange[]> {
    const number = Math.floor(position / pageLength)
    const page = this.#pages.get(number) ?? this.#open(number)
    const changes = await page.changes.catch(() => [])
    if (this.#pages.get(number) === page) this.#use(number, page, changes)
    const rest = changes.slice(indexAfter(changes, position))
    return rest.length > 0 ? rest : await this.#read(position)
  }

  clear (): void {
    this.#pages.clear()
    this.#size = 0
  }

  #open (number: number): Page {
    const page: Page = { changes: this.#read(number * pageLength), size: 0 }
    this.#pages.set(number, page)
    return page
  }

  /** Keeps the page if it is whole, as the last used, and drops those that have not been used for longest. */
  #use (number: number, page: Page, changes: readonly EncodedChange[]): void {
    this.#pages.delete(number)
    this.#size -= page.size
    if (changes.at(-1)?.position !== (number + 1) * pageLength) return
    page.size = changes.reduce((sum, change) => sum + change.size, 0)
    this.#size += page.size
    this.#pages.set(number, page)
    for (const [oldest, { size }] of this.#pages) {
      if (this.#size <= this.#limit) return
      this.#pages.delete(oldest)
      this.#size -= size
    }
  }

  async #read (position: number): Promise<readonly EncodedChange[]> {
    const { epoch } = this.#log
    const page = await this.#log.changes(position, pageLength)
    assertReaches(page, position, epoch)
    if (page.entries.length === 0) throw new ChangeStreamError('gone', 'the log ends earlier than it did')
    return page.entries.map(entry => new EncodedChange(entry, this.#log))
  }
}

/** @throws {ChangeStreamError} `gone` where the page can't be the one behind `position` */
export function assertReaches ({ epoch, floor, head }: LogPage, position: number, expected: string): void {
  if (epoch !== expected) throw new ChangeStreamError('gone', 'the log has been replaced by another')
  if (position < floor) throw new ChangeStreamError('gone', 'the log no longer reaches back that far')
  if (position > head) throw new ChangeStreamError('gone', 'the position is ahead of the log')
}

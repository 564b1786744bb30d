import { ChangeStreamError } from '../protocol/errors.ts'
import type { Log, LogPage } from '../protocol/log.ts'
import { EncodedChange } from './encoded.ts'
import { indexAfter } from './search.ts'

/** Positions in a page: small enough for a slice of work, large enough to be worth a query. */
const pageLength = 128
/** Bytes of records after which a page is cut. */
const pageBytes = 262_144

/** Some of the log; `cut` where the log went on, but the page had enough bytes. */
interface Part { readonly changes: readonly EncodedChange[], readonly cut: boolean }

interface Page { readonly part: Promise<Part>, size: number }

const nothing: Part = { changes: [], cut: false }

/**
 * Reads the log for those who are behind. Pages are kept for a while, so that many who come back at once, each from
 * somewhere else, share what was read and encoded for the first; one that was not whole when it was read, until somebody
 * wants more of it.
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
    const known = await this.#rest(number, page, position)
    if (known.changes.length > 0) return known.changes
    if (known.cut) return (await this.#read(position)).changes // it would end there again
    const newer = this.#pages.get(number)
    const { changes } = await this.#rest(number, newer && newer !== page ? newer : this.#open(number), position)
    return changes.length > 0 ? changes : (await this.#read(position)).changes
  }

  clear (): void {
    this.#pages.clear()
    this.#size = 0
  }

  #open (number: number): Page {
    this.#drop(number)
    const page: Page = { part: this.#read(number * pageLength), size: 0 }
    this.#pages.set(number, page)
    return page
  }

  /** What the page has behind `position`: nothing if it could not be read. */
  async #rest (number: number, page: Page, position: number): Promise<Part> {
    const { changes, cut } = await page.part.catch(() => nothing)
    if (this.#pages.get(number) === page) this.#use(number, page, changes)
    return { changes: changes.slice(indexAfter(changes, position)), cut }
  }

  /** Keeps the page as the last used, and drops those that have not been used for longest. */
  #use (number: number, page: Page, changes: readonly EncodedChange[]): void {
    this.#drop(number)
    if (changes.length === 0) return
    if (page.size === 0) page.size = changes.reduce((sum, change) => sum + change.size, 0)
    this.#size += page.size
    this.#pages.set(number, page)
    for (const oldest of this.#pages.keys()) {
      if (this.#size <= this.#limit) return
      this.#drop(oldest)
    }
  }

  #drop (number: number): void {
    this.#size -= this.#pages.get(number)?.size ?? 0
    this.#pages.delete(number)
  }

  async #read (position: number): Promise<Part> {
    const { epoch } = this.#log
    const page = await this.#log.changes(position, pageLength, pageBytes)
    assertReaches(page, position, epoch)
    if (page.entries.length === 0) throw new ChangeStreamError('gone', 'the log ends earlier than it did')
    const changes = page.entries.map(entry => new EncodedChange(entry, this.#log))
    return { changes, cut: changes.length < pageLength && (changes.at(-1)?.position ?? 0) < page.head }
  }
}

/** @throws {ChangeStreamError} `gone` where the page can't be the one behind `position` */
export function assertReaches ({ epoch, floor, head }: LogPage, position: number, expected: string): void {
  if (epoch !== expected) throw new ChangeStreamError('gone', 'the log has been replaced by another')
  if (position < floor) throw new ChangeStreamError('gone', 'the log no longer reaches back that far')
  if (position > head) throw new ChangeStreamError('gone', 'the position is ahead of the log')
}

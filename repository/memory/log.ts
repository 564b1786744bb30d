import { LogEntry } from '../../protocol/change.ts'
import type { Retention } from '../retention.ts'

/** About what an entry costs besides its records' text, bytes. */
const overhead = 200

/**
 * The changes of a resource, in order, as many as `retention` keeps. Each is given out as an object of its own: what a
 * reader makes of it, such as the parsed record, is gone with the reader.
 */
export class MemoryLog {
  readonly #retention: Retention
  #entries: Array<LogEntry | undefined> = []
  /** How many of `#entries` have been dropped. */
  #dropped = 0
  #size = 0
  #floor = 0

  constructor (retention: Retention) {
    this.#retention = retention
  }

  /** Everything up to here has been dropped. */
  get floor (): number {
    return this.#floor
  }

  append (entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      this.#entries.push(new LogEntry(entry))
      this.#size += sizeOf(entry) + overhead
    }
    const now = Date.now()
    while (this.#isExcess(now)) this.#drop()
    if (this.#dropped <= this.#entries.length / 2) return
    this.#entries = this.#entries.slice(this.#dropped)
    this.#dropped = 0
  }

  /** Up to `limit` entries after a position, or until their records' text comes to `bytes`, but one at least. */
  after (position: number, limit: number, bytes: number): LogEntry[] {
    const found: LogEntry[] = []
    let size = 0
    for (let index = this.#dropped + Math.max(position - this.#floor, 0); found.length < limit && size < bytes; index++) {
      const entry = this.#entries[index]
      if (!entry) break
      found.push(new LogEntry(entry))
      size += sizeOf(entry)
    }
    return found
  }

  #isExcess (now: number): boolean {
    const oldest = this.#entries[this.#dropped]
    if (!oldest) return false
    const { count, age, bytes } = this.#retention
    if (this.#size > bytes) return true
    return this.#entries.length - this.#dropped > count && oldest.time <= now - age
  }

  #drop (): void {
    const entry = this.#entries[this.#dropped]
    if (!entry) return
    this.#size -= sizeOf(entry) + overhead
    this.#floor = entry.position
    this.#entries[this.#dropped++] = undefined
  }
}

/** The text of the records before and after. */
function sizeOf ({ json, beforeJson }: LogEntry): number {
  return (json?.length ?? 0) + (beforeJson?.length ?? 0)
}

import { randomBytes } from 'node:crypto'
import { LogEntry, type Json } from '../protocol/change.ts'
import { type Cursor, formatCursor } from '../protocol/cursor.ts'
import { ChangeStreamError } from '../protocol/errors.ts'
import type { LogPage, Snapshot, Stored } from '../protocol/log.ts'
import { compile } from '../protocol/predicate.ts'
import type { Where } from '../protocol/where.ts'
import { readPage } from './list.ts'
import { MemoryLog } from './memory/log.ts'
import { type Kept, Search, nextPiece } from './memory/reads.ts'
import { Records, Walk } from './memory/records.ts'
import { ReadBudget } from './read-budget.ts'
import type { Retention } from './retention.ts'
import { Settings } from './settings.ts'
import type { ListQuery, Listing, Mutation, OpenStore, Outcome, Store, StoreEvents } from './store.ts'

export interface MemoryOptions {
  /** How much of the log is kept: by default the last 10,000 changes, whatever their age, in 32 MiB at most. */
  readonly retention?: Partial<Retention>
}

const defaultRetention: Retention = { count: 10_000, age: 0, bytes: 33_554_432 }

/**
 * Keeps records and log in this process: nothing survives it.
 * @throws {TypeError} naming an option that can't be used
 */
export function memory (options: MemoryOptions = {}): OpenStore {
  const retention = new Settings('memory').retention(options.retention, defaultRetention)
  return async (_, budget = new ReadBudget()) => new MemoryStore(retention, budget)
}

class MemoryStore implements Store {
  readonly epoch = randomBytes(9).toString('base64url')
  readonly #log: MemoryLog
  readonly #budget: ReadBudget
  readonly #records = new Records<Kept>()
  #position = 0
  #events: StoreEvents | undefined
  #closed = false

  constructor (retention: Retention, budget: ReadBudget) {
    this.#log = new MemoryLog(retention)
    this.#budget = budget
  }

  get position (): number {
    return this.#position
  }

  cursor (position: number): string {
    return formatCursor(this.epoch, position)
  }

  includes ({ epoch }: Cursor): boolean {
    return epoch === this.epoch
  }

  listen (events: StoreEvents): void {
    this.#events = events
  }

  async get (id: string): Promise<Stored | null> {
    this.#assertOpen()
    return this.#records.get(id) ?? null
  }

  async list (query: ListQuery, signal?: AbortSignal): Promise<Listing> {
    this.#assertOpen()
    return await readPage(query, () => new Search(this.#records, query, this.#position, () => this.#assertOpen()), this.#budget, signal)
  }

  async write (mutations: readonly Mutation[]): Promise<Outcome[]> {
    this.#assertOpen()
    const written = new Map<string, Kept | null>()
    const entries: LogEntry[] = []
    const time = Date.now()
    const outcomes = mutations.map(({ id, fresh, decide }): Outcome => {
      const before = written.get(id) ?? (written.has(id) || fresh ? null : this.#records.get(id) ?? null)
      const json = decide(before)
      if (json === undefined || (json === null && before === null)) return { before, after: before, position: this.#position + entries.length }
      const position = this.#position + entries.length + 1
      const version = this.cursor(position)
      const after = json === null ? null : { id, version, json, record: JSON.parse(json) as Json }
      written.set(id, after)
      entries.push(new LogEntry({ position, id, time, version, json, beforeJson: before?.json ?? null }))
      return { before, after, position }
    })
    for (const [id, kept] of written) {
      if (kept) this.#records.set(id, kept)
      else this.#records.delete(id)
    }
    if (entries.length === 0) return outcomes
    this.#log.append(entries)
    this.#position += entries.length
    this.#events?.committed(entries)
    return outcomes
  }

  async changes (after: number, limit: number, bytes = Infinity): Promise<LogPage> {
    this.#assertOpen()
    return { epoch: this.epoch, floor: this.#log.floor, head: this.#position, entries: this.#log.after(after, limit, bytes) }
  }

  snapshot (where: Where | null): Snapshot {
    const matches = where && compile(where)
    const walk = new Walk(this.#records.share()) // a record is never changed in place
    return {
      position: this.#position,
      next: async () => {
        this.#assertOpen()
        return walk.done ? null : nextPiece(walk, matches)
      },
      close: () => walk.end()
    }
  }

  async refresh (): Promise<void> {
    this.#assertOpen()
  }

  async close (): Promise<void> {
    this.#closed = true
    this.#records.clear()
  }

  #assertOpen (): void {
    if (this.#closed) throw new ChangeStreamError('unavailable', 'the repository is closed')
  }
}

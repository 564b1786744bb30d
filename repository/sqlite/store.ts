import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import type { LogEntry } from '../../protocol/change.ts'
import type { Cursor } from '../../protocol/cursor.ts'
import { ChangeStreamError } from '../../protocol/errors.ts'
import type { LogPage, Snapshot, Stored } from '../../protocol/log.ts'
import { compile } from '../../protocol/predicate.ts'
import type { Where } from '../../protocol/where.ts'
import type { Retention } from '../retention.ts'
import type { ListQuery, Listing, Mutation, Outcome, Store, StoreEvents } from '../store.ts'
import type { Database } from './database.ts'
import { isFault, storeError } from './driver.ts'
import { list } from './list.ts'
import { Scan, scanSchema } from './scan.ts'
import { Writer } from './writer.ts'

export interface SqliteSettings {
  readonly retention: Retention
  readonly busyTimeout: number
  readonly pollInterval: number
  readonly trimInterval: number
}

const pageSize = 1000
const trimSize = 500 // entries a step, a millisecond or two
const trimPause = 20 // milliseconds between steps

/** A resource in a SQLite file. */
export class SqliteStore implements Store {
  readonly #database: Database
  readonly #settings: SqliteSettings
  readonly #writer: Writer
  readonly #timers: NodeJS.Timeout[] = []
  #events: StoreEvents | undefined
  #epoch: string
  /** All entries up to here have been told. */
  #position: number
  #dataVersion: number
  #telling: Promise<void> | undefined
  /** `closing`: the writes under way finish, and no more are taken. */
  #state: 'open' | 'closing' | 'closed' = 'open'

  constructor (database: Database, settings: SqliteSettings) {
    this.#database = database
    this.#settings = settings
    database.exec(scanSchema)
    this.#dataVersion = database.dataVersion()
    const { epoch, head } = database.bounds()
    this.#epoch = epoch
    this.#position = head
    this.#writer = new Writer({
      begin: () => database.begin(),
      commit: () => database.commit(),
      rollback: () => database.rollback(),
      inTransaction: () => database.inTransaction(),
      atomically: write => database.atomically(write),
      read: id => database.read(id),
      apply: change => database.apply(change),
      head: () => database.bounds().head,
      entriesOf: (changes, position) => database.entriesOf(changes, position),
      assertKept: () => {},
      announce: entries => this.#announce(entries),
      failed: error => this.#events?.failed(error)
    }, settings.busyTimeout)
  }

  get epoch (): string {
    return this.#epoch
  }

  get position (): number {
    return this.#position
  }

  cursor (position: number): string {
    return this.#database.epochs.cursor(position)
  }

  includes (cursor: Cursor): boolean {
    return this.#database.epochs.includes(cursor)
  }

  listen (events: StoreEvents): void {
    this.#events = events
    this.#every(this.#settings.pollInterval, () => this.#poll())
    this.#every(this.#settings.trimInterval, () => this.#trim())
  }

  async get (id: string): Promise<Stored | null> {
    this.#assertOpen()
    return this.#read(() => {
      this.#database.bounds()
      return this.#database.read(id)
    })
  }

  async list (query: ListQuery): Promise<Listing> {
    this.#assertOpen()
    try {
      return await list(this.#database, query, () => this.#read(() => this.#database.bounds().head))
    } catch (error) {
      throw storeError(error, 'listing')
    }
  }

  write (mutations: readonly Mutation[]): Promise<Outcome[]> {
    return this.#state === 'open' ? this.#writer.write(mutations) : Promise.reject(closed())
  }

  async changes (after: number, limit: number): Promise<LogPage> {
    this.#assertOpen()
    return this.#changes(after, limit)
  }

  #changes (after: number, limit: number): LogPage {
    return this.#read(() => ({ ...this.#database.bounds(), entries: this.#database.entriesAfter(after, limit) }))
  }

  snapshot (where: Where | null): Snapshot {
    const matches = compile(where)
    const scan = new Scan(this.#database, { position: this.#position, where })
    return {
      position: scan.position,
      next: async () => this.#guard(() => scan.next()?.filter(stored => matches(JSON.parse(stored.json))) ?? null),
      close: () => { if (this.#state === 'open') scan.close() }
    }
  }

  async refresh (): Promise<void> {
    this.#assertOpen()
    await this.#tellRest()
  }

  async close (): Promise<void> {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    for (const timer of this.#timers) clearInterval(timer)
    await this.#writer.drain()
    await this.#telling?.catch((error: unknown) => this.#events?.failed(error))
    this.#state = 'closed'
    this.#database.close()
  }

  #read<T> (read: () => T): T {
    const result = this.#guard(() => this.#database.reading(read))
    this.#noticeEpoch()
    return result
  }

  /** Runs `read`; its errors become ours. */
  #guard<T> (read: () => T): T {
    if (this.#state === 'closed') throw closed()
    try {
      return read()
    } catch (error) {
      throw storeError(error, 'reading')
    }
  }

  /** Whether the log was found to be another one since it was last asked: somebody put it in this one's place. */
  #noticeEpoch (): boolean {
    if (this.#database.epoch === this.#epoch) return false
    const { epoch, head } = this.#database.bounds()
    this.#epoch = epoch
    this.#position = head
    this.#events?.reset()
    return true
  }

  /** Tells `entries`, just committed. Where others have committed before them, those are told first, and the promise says when it is done. */
  #announce (entries: readonly LogEntry[]): Promise<void> | undefined {
    const [first] = entries
    if (this.#noticeEpoch() || !first) return undefined
    if (first.position !== this.#position + 1 || this.#telling) return this.#tellRest()
    this.#tell(entries)
    return undefined
  }

  #tell (entries: readonly LogEntry[]): void {
    this.#position = entries.at(-1)?.position ?? this.#position
    this.#events?.committed(entries)
  }

  /** Tells all that has been committed so far, page by page, a turn of the event loop between them. */
  async #tellRest (): Promise<void> {
    while (this.#telling) await this.#telling.catch(() => {}) // whoever began it hears of it
    this.#telling = this.#tellPages()
    try {
      await this.#telling
    } finally {
      this.#telling = undefined
    }
  }

  async #tellPages (): Promise<void> {
    const epoch = this.#epoch
    for (;;) {
      const { entries } = this.#changes(this.#position, pageSize)
      if (this.#epoch !== epoch) return // it was read behind a position of the log that was here before
      if (entries.length > 0) this.#tell(entries)
      if (entries.length < pageSize) return
      await turn()
    }
  }

  async #poll (): Promise<void> {
    const version = this.#database.dataVersion()
    if (version === this.#dataVersion) return
    await this.#tellRest()
    this.#dataVersion = version
  }

  /** Forgets what need not be kept, in steps so small that writers don't notice; a busy database is left for the next time. */
  async #trim (): Promise<void> {
    while (this.#state === 'open' && this.#trimStep()) await delay(trimPause, undefined, { ref: false })
  }

  /** Whether there is more to forget. */
  #trimStep (): boolean {
    const { count, age } = this.#settings.retention
    const { floor, head } = this.#database.bounds()
    const upTo = Math.min(head - count, floor + trimSize)
    const cut = upTo > floor ? this.#database.lastBefore(Date.now() - age, floor, upTo) : floor
    if (cut <= floor) return false
    this.#database.begin()
    try {
      this.#database.forget(cut)
      this.#database.commit()
    } catch (error) {
      this.#database.rollback()
      throw error
    }
    return cut === floor + trimSize
  }

  /** Repeats `work`, never twice at once. */
  #every (interval: number, work: () => void | Promise<void>): void {
    let running = false
    this.#timers.push(setInterval(async () => {
      if (running) return
      running = true
      try {
        await work()
      } catch (error) {
        if (!isBusy(error)) this.#events?.failed(error)
      }
      running = false
    }, interval).unref())
  }

  #assertOpen (): void {
    if (this.#state !== 'open') throw closed()
  }
}

function isBusy (error: unknown): boolean {
  return isFault(error instanceof ChangeStreamError ? error.cause : error, 'busy')
}

function closed (): ChangeStreamError {
  return new ChangeStreamError('unavailable', 'the repository is closed')
}

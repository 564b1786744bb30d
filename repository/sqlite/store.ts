import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import type { LogEntry } from '../../protocol/change.ts'
import type { Cursor } from '../../protocol/cursor.ts'
import { ChangeStreamError } from '../../protocol/errors.ts'
import type { LogPage, Snapshot, Stored } from '../../protocol/log.ts'
import { compile } from '../../protocol/predicate.ts'
import type { Where } from '../../protocol/where.ts'
import type { ReadBudget } from '../read-budget.ts'
import type { Retention } from '../retention.ts'
import type { ListQuery, Listing, Mutation, Outcome, Store, StoreEvents } from '../store.ts'
import type { Database } from './database.ts'
import { isFault, storeError } from './driver.ts'
import type { DatabaseFile } from './file.ts'
import { type ListHost, list } from './list.ts'
import { Scan, scanSchema } from './scan.ts'
import { nextPiece } from './snapshot.ts'
import { Trimmer } from './trimmer.ts'
import { Writer } from './writer.ts'

export interface SqliteSettings {
  readonly retention: Retention
  readonly busyTimeout: number
  readonly pollInterval: number
  readonly trimInterval: number
}

const pageSize = 1000
const pageBytes = 4_194_304
const mostOfId = 100 // characters that are told of an id that is none of ours
const mostReported = 1000 // unreadable rows
const trimPause = 20 // milliseconds between steps
const fileInterval = 1000 // milliseconds between looks at the file

/** A resource in a SQLite file. */
export class SqliteStore implements Store {
  readonly #database: Database
  readonly #settings: SqliteSettings
  readonly #file: DatabaseFile
  readonly #writer: Writer
  readonly #trimmer: Trimmer
  readonly #lists: ListHost
  readonly #timers: NodeJS.Timeout[] = []
  #events: StoreEvents | undefined
  #epoch: string
  /** All entries up to here have been told. */
  #position: number
  #dataVersion: number
  #telling: Promise<void> | undefined
  readonly #unreadable = new Set<string>()
  /** Characters told since the log was last trimmed. */
  #grown = 0
  #isTrimming = false
  /** `closing`: the writes under way finish, and no more are taken. */
  #state: 'open' | 'closing' | 'closed' = 'open'
  /** The file was not where it was when last looked for. */
  #isGone = false

  constructor (open: (onUnreadable: (id: string) => void) => Database, file: DatabaseFile, settings: SqliteSettings, budget: ReadBudget) {
    const database = this.#database = open(id => this.#reportUnreadable(id))
    this.#file = file
    this.#settings = settings
    this.#trimmer = new Trimmer(database, settings.retention)
    this.#lists = {
      database,
      budget,
      head: () => this.#read(() => database.bounds().head),
      guard: read => this.#guard(read)
    }
    database.exec(scanSchema)
    this.#dataVersion = database.dataVersion()
    const { epoch, head } = database.bounds()
    this.#epoch = epoch
    this.#position = head
    this.#writer = new Writer({
      begin: () => database.begin(),
      commit: () => database.commit(),
      assertFile: () => this.#assertFile(),
      rollback: () => database.rollback(),
      inTransaction: () => database.inTransaction(),
      atomically: write => database.atomically(write),
      read: id => database.read(id),
      apply: change => database.apply(change),
      remove: id => database.remove(id),
      head: () => database.bounds().head,
      entriesOf: (changes, position) => database.entriesOf(changes, position),
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
    this.#every(fileInterval, () => this.#lookForFile())
  }

  async get (id: string): Promise<Stored | null> {
    this.#assertOpen()
    return this.#read(() => {
      this.#database.bounds()
      return this.#database.read(id)
    })
  }

  async list (query: ListQuery, signal?: AbortSignal): Promise<Listing> {
    this.#assertOpen()
    try {
      return await list(this.#lists, query, signal)
    } catch (error) {
      throw storeError(error, 'listing')
    }
  }

  write (mutations: readonly Mutation[]): Promise<Outcome[]> {
    const refusal = this.#refusal()
    return refusal ? Promise.reject(refusal) : this.#writer.write(mutations)
  }

  async changes (after: number, limit: number, bytes?: number): Promise<LogPage> {
    this.#assertOpen()
    return this.#changes(after, limit, bytes)
  }

  #changes (after: number, limit: number, bytes?: number): LogPage {
    return this.#read(() => ({ ...this.#database.bounds(), entries: this.#database.entriesAfter(after, limit, bytes) }))
  }

  snapshot (where: Where | null): Snapshot {
    const scan = new Scan(this.#database, { position: this.#position, where })
    const matches = where && compile(where)
    return {
      position: scan.position,
      next: async () => scan.done ? null : this.#guard(() => nextPiece(scan, matches)),
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
    if (this.#isGone) this.#assertFile()
    try {
      return read()
    } catch (error) {
      throw storeError(error, 'reading')
    }
  }

  /** Says so once, as long as there are not too many to remember. */
  #reportUnreadable (id: string): void {
    const name = id.slice(0, mostOfId)
    if (this.#unreadable.has(name) || this.#unreadable.size >= mostReported) return
    this.#unreadable.add(name)
    this.#events?.failed(new ChangeStreamError('internal', `${this.#database.tables.name}: what is stored under the id ${JSON.stringify(name)} is no record, and counts as absent`))
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
    for (const { json, beforeJson } of entries) this.#grown += (json?.length ?? 0) + (beforeJson?.length ?? 0)
    if (this.#grown > this.#settings.retention.bytes / 16) this.#trim().catch((error: unknown) => this.#reportFault(error)) // the log must not outgrow its bounds until the timer comes
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
      const { floor, head, entries } = this.#changes(this.#position, pageSize, pageBytes)
      if (this.#epoch !== epoch) return // it was read behind a position of the log that was here before
      if (floor > this.#position) return this.#skipTo(head) // another process has forgotten what was not told here
      if (entries.length > 0) this.#tell(entries)
      if (this.#position >= head) return
      await turn()
    }
  }

  /** Goes on at `head`: whoever listens must start anew, since nothing can be said of what was before. */
  #skipTo (head: number): void {
    this.#position = head
    this.#events?.reset()
  }

  async #poll (): Promise<void> {
    if (this.#isGone) return
    const version = this.#database.dataVersion()
    if (version === this.#dataVersion) return
    await this.#tellRest()
    this.#dataVersion = version
  }

  /** Forgets what need not be kept, in steps so small that writers don't notice; a busy database is left for the next time. */
  async #trim (): Promise<void> {
    if (this.#isTrimming) return
    this.#isTrimming = true
    try {
      await this.#trimSteps()
    } finally {
      this.#isTrimming = false
    }
  }

  async #trimSteps (): Promise<void> {
    this.#grown = 0
    await turn()
    while (this.#state === 'open' && !this.#isGone && this.#trimmer.step(this.#position)) await delay(trimPause, undefined, { ref: false })
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
        this.#reportFault(error)
      }
      running = false
    }, interval).unref())
  }

  /** A busy database is no fault: what was tried is tried again. */
  #reportFault (error: unknown): void {
    if (!isBusy(error)) this.#events?.failed(error)
  }

  #assertOpen (): void {
    const refusal = this.#refusal()
    if (refusal) throw refusal
  }

  #refusal (): ChangeStreamError | null {
    if (this.#state !== 'open') return closed()
    if (this.#isGone) this.#lookForFile()
    return this.#isGone ? this.#file.goneError : null
  }

  /** @throws {ChangeStreamError} where the file is not where it was */
  #assertFile (): void {
    this.#lookForFile()
    if (this.#isGone) throw this.#file.goneError
  }

  /** What was committed while the file was gone is in it when it is back, and is told then. */
  #lookForFile (): void {
    const wasGone = this.#isGone
    this.#isGone = !this.#file.isThere()
    if (this.#isGone && !wasGone) this.#events?.failed(this.#file.goneError)
    if (wasGone && !this.#isGone) this.#tellRest().catch((error: unknown) => this.#events?.failed(error))
  }
}

function isBusy (error: unknown): boolean {
  return isFault(error instanceof ChangeStreamError ? error.cause : error, 'busy')
}

function closed (): ChangeStreamError {
  return new ChangeStreamError('unavailable', 'the repository is closed')
}

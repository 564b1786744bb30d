import type { LogEntry } from '../protocol/change.ts'
import type { Cursor } from '../protocol/cursor.ts'
import { ChangeStreamError } from '../protocol/errors.ts'
import { type Filter, filterKey } from '../protocol/filter.ts'
import type { Log } from '../protocol/log.ts'
import { ClassIndex } from './class-index.ts'
import { beatsPerHeartbeat } from './connection.ts'
import { EncodedChange } from './encoded.ts'
import { FilterClass } from './filter-class.ts'
import { Gate, type GateSettings } from './gate.ts'
import { Pacer } from './pacer.ts'
import { Pages, assertReaches } from './pages.ts'
import { Passes } from './passes.ts'
import type { Reader } from './reader.ts'
import { Ring } from './ring.ts'
import type { Subscription } from './subscription.ts'

export interface HubSettings extends GateSettings {
  /** How much subscribers at the live end may have to wait for before writes are held back, bytes. */
  readonly backlog: number
  /** Time between two signs of life, milliseconds. */
  readonly heartbeat: number
  /** How much of the log's live end is kept in memory for all, bytes. */
  readonly tailSize: number
  /** How much of what subscribers catching up have read is kept for others who do, bytes. */
  readonly cacheSize: number
  /** How much of what is told to the subscribers of one filter is kept for those who are a little behind, bytes. */
  readonly ringSize: number
  /** The longest that the stream's work holds the event loop at a time, milliseconds. */
  readonly slice: number
  /** The longest that other work goes first after such a slice, milliseconds. */
  readonly rest: number
}

/** Where a subscriber wants to start: a cursor, the oldest change that is kept, or what comes from now on. */
export type Since = Cursor | 'start' | 'now'

/** Changes that a subscriber catching up is given at once from the tail. */
const tailPage = 256

/**
 * The live end of a resource's log. It takes each committed change once, in order, gives it to the classes of
 * subscribers that want it, and sees to it that every subscription gets on: those at the live end first, then those that
 * are catching up, then heartbeats.
 */
export class Hub {
  readonly log: Log
  readonly settings: HubSettings
  readonly #gate: Gate
  readonly #onError: (error: unknown) => void
  readonly #classes = new Map<string, FilterClass>()
  readonly #index = new ClassIndex()
  readonly #subscriptions = new Set<Subscription>()
  readonly #tail: Ring<EncodedChange>
  readonly #pages: Pages
  readonly #pacer: Pacer
  readonly #passes: Passes
  /** Who is first in the next slice. */
  #turn: 'passes' | 'steps' = 'passes'
  /** Subscriptions that have something to do by themselves. */
  readonly #waiting = new Set<Subscription>()
  /** The rest of a round of heartbeats. */
  #round: Iterator<Subscription> | undefined
  readonly #heart: NodeJS.Timeout
  readonly #closing = new AbortController()
  #position: number

  /** @param onError hears of what fails where no caller waits */
  constructor (log: Log, settings: HubSettings, gate: Gate, onError: (error: unknown) => void) {
    this.log = log
    this.settings = settings
    this.#gate = gate
    this.#onError = onError
    this.#position = log.position
    this.#tail = new Ring(log.position, settings.tailSize, change => change.size)
    this.#pages = new Pages(log, settings.cacheSize)
    this.#passes = new Passes(gate, settings.backlog)
    this.#pacer = new Pacer(settings.slice, settings.rest, deadline => this.#work(deadline), gate)
    this.#heart = setInterval(() => this.#beat(), settings.heartbeat / beatsPerHeartbeat).unref()
  }

  /** The newest position that subscribers may be told of. */
  get position (): number {
    return this.#position
  }

  /** Aborted when the hub closes. */
  get closing (): AbortSignal {
    return this.#closing.signal
  }

  /** Subscriptions there are now. */
  get size (): number {
    return this.#subscriptions.size
  }

  cursor (position = this.#position): string {
    return this.log.cursor(position)
  }

  /** Takes committed changes, in order, right behind the last ones. */
  append (entries: readonly LogEntry[]): void {
    this.#position = entries.at(-1)?.position ?? this.#position
    if (this.#classes.size === 0) return this.#tail.restart(this.#position)
    for (const entry of entries) {
      const change = new EncodedChange(entry, this.log)
      this.#tail.push(change)
      for (const filterClass of this.#index.candidates(entry)) if (filterClass.take(change)) this.#passes.add(filterClass)
    }
    if (this.#passes.due) this.#pacer.wake('committed')
  }

  /** The log has become another one: no cursor given out so far is good any more. */
  reset (): void {
    this.#position = this.log.position
    this.#tail.restart(this.#position)
    this.#pages.clear()
    this.#passes.clear()
    const gone = new ChangeStreamError('gone', 'the log has been replaced by another')
    for (const subscription of this.#subscriptions) subscription.lose(gone)
    for (const filterClass of this.#classes.values()) filterClass.restart(this.#position)
  }

  /**
   * The position to start at for `since`, if the log reaches back to it.
   * @throws {ChangeStreamError} `gone`, or `unavailable` where the store can't tell
   */
  async locate (since: Since): Promise<number> {
    await this.log.refresh()
    if (since === 'now') return this.#position
    if (since === 'start') return (await this.log.changes(0, 1)).floor
    if (!this.log.includes(since)) throw new ChangeStreamError('gone', 'since is of another log: this one was restored, rebuilt or lost')
    if (since.position > this.#position) throw new ChangeStreamError('gone', 'since is ahead of the log')
    if (this.#tail.after(since.position, 0) === null) assertReaches(await this.log.changes(since.position, 1), since.position, this.log.epoch)
    return since.position
  }

  /** Some changes right behind `position`, from memory or from the log. */
  read (position: number): readonly EncodedChange[] | Promise<readonly EncodedChange[]> {
    return this.#tail.after(position, tailPage) ?? this.#pages.after(position)
  }

  /** The class of subscribers that ask the same; every call must be paid back with `release`. */
  classOf (filter: Filter, reader: Reader): FilterClass {
    const key = `${reader.name}|${filterKey(filter)}`
    let filterClass = this.#classes.get(key)
    if (!filterClass) {
      filterClass = new FilterClass(key, filter, reader, { log: this.log, position: this.#position, ringSize: this.settings.ringSize })
      this.#classes.set(key, filterClass)
      this.#index.add(filterClass)
    }
    filterClass.users++
    return filterClass
  }

  release (filterClass: FilterClass): void {
    if (--filterClass.users > 0) return
    this.#classes.delete(filterClass.key)
    this.#index.delete(filterClass)
    this.#passes.delete(filterClass)
  }

  add (subscription: Subscription): void {
    this.#subscriptions.add(subscription)
  }

  remove (subscription: Subscription): void {
    this.#subscriptions.delete(subscription)
    this.#waiting.delete(subscription)
  }

  /** Calls the subscription's `step` in one of the next slices. */
  enqueue (subscription: Subscription): void {
    this.#waiting.add(subscription)
    this.#pacer.wake()
  }

  /** Tells of what no caller waits for. */
  report (error: unknown): void {
    this.#onError(error)
  }

  /** Says goodbye to every subscriber, and asks them to come back spread over `within` milliseconds. */
  close (within: number): void {
    clearInterval(this.#heart)
    this.#closing.abort()
    for (const subscription of this.#subscriptions) subscription.sayGoodbye(Math.round(Math.random() * within))
    this.#pacer.close()
    this.#gate.open()
  }

  /** A slice of work; says whether something is left. Those at the live end come first, unless the last slice was all theirs. */
  #work (deadline: number): boolean {
    if (this.#turn === 'steps') this.#step(deadline)
    const passing = performance.now() < deadline && this.#passes.run(deadline)
    if (this.#turn === 'passes' && !passing) this.#step(deadline)
    this.#turn = passing && this.#turn === 'passes' ? 'steps' : 'passes'
    if (this.#passes.due) this.#gate.pause()
    return this.#passes.due || this.#waiting.size > 0 || this.#round !== undefined
  }

  /** Heartbeats, which are short work, then what subscriptions have to do by themselves. */
  #step (deadline: number): void {
    for (let next = this.#round?.next(); next && !next.done; next = this.#round?.next()) {
      next.value.beat()
      if (performance.now() > deadline) return
    }
    this.#round = undefined
    for (const subscription of this.#waiting) {
      this.#waiting.delete(subscription)
      subscription.step()
      if (performance.now() > deadline) return
    }
  }

  #beat (): void {
    if (this.#round || this.#subscriptions.size === 0) return
    this.#round = this.#subscriptions.values()
    this.#pacer.wake()
  }
}

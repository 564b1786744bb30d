import type { LogEntry } from '../protocol/change.ts'
import { ChangeStreamError } from '../protocol/errors.ts'
import type { Filter } from '../protocol/filter.ts'
import type { Log } from '../protocol/log.ts'
import { Classes } from './classes.ts'
import { EncodedChange } from './encoded.ts'
import type { FilterClass } from './filter-class.ts'
import { Gate, type GateSettings } from './gate.ts'
import { History, type HistorySettings, type Since } from './history.ts'
import { Matching } from './matching.ts'
import { Pacer } from './pacer.ts'
import { Passes } from './passes.ts'
import type { Reader } from './reader.ts'
import { Steps } from './steps.ts'
import { type Subscriber, guarded } from './subscriber.ts'
import type { Reads } from './transfer.ts'

export interface HubSettings extends GateSettings, HistorySettings {
  /** How much subscribers at the live end may have to wait for before writes are held back, bytes. */
  readonly backlog: number
  /** Time between two signs of life, milliseconds. */
  readonly heartbeat: number
  /** How much of what is told to the subscribers of one filter is kept for those who are a little behind, bytes. */
  readonly ringSize: number
  /** The longest that the stream's work holds the event loop at a time, milliseconds. */
  readonly slice: number
  /** The longest that other work goes first after such a slice, milliseconds. */
  readonly rest: number
  /** The most that a page of the feed holds, bytes; one change may be larger. */
  readonly maxPage: number
}

const atOnce: Reads = { run: async <T>(_: string, work: () => T): Promise<Awaited<T>> => await work() }

const matchingLimit = 4_194_304 // bytes of changes that wait to be matched; beyond, they are read from the log again

/**
 * The live end of a resource's log. It takes each committed change once, in order, gives it to the classes of
 * subscribers that want it, and makes sure that every subscription makes progress: those at the live end first, then those
 * that are catching up, then heartbeats.
 *
 * A fault in work that is shared ends the subscribers that it may have touched, so that they resume by cursor; one in the
 * work of a single subscription ends that one.
 */
export class Hub {
  readonly log: Log
  readonly settings: HubSettings
  readonly reads: Reads
  readonly #gate: Gate
  readonly #onError: (error: unknown) => void
  readonly #classes: Classes
  readonly #subscriptions = new Set<Subscriber>()
  readonly #history: History
  readonly #pacer: Pacer
  readonly #passes: Passes
  readonly #matching: Matching
  /** Whether changes that have yet to be matched are being read from the log. */
  #reading = false
  /** Who is first in the next slice. */
  #turn: 'passes' | 'steps' = 'passes'
  readonly #steps: Steps
  readonly #closing = new AbortController()
  #position: number

  /** @param onError hears of what fails where no caller waits */
  constructor (log: Log, settings: HubSettings, gate: Gate, onError: (error: unknown) => void, reads: Reads = atOnce) {
    this.log = log
    this.settings = settings
    this.reads = reads
    this.#gate = gate
    this.#onError = onError
    this.#position = log.position
    this.#history = new History(log, settings)
    this.#passes = new Passes(gate, settings.backlog, () => this.#settled)
    this.#classes = new Classes(log, settings.ringSize)
    this.#matching = new Matching(log.position, this.#classes.index, matchingLimit, (filterClass, change) => this.#offer(filterClass, change))
    this.#pacer = new Pacer(settings.slice, settings.rest, deadline => this.#work(deadline), gate)
    this.#steps = new Steps(this.#subscriptions, settings.heartbeat, () => this.#pacer.wake())
  }

  /** The newest position that subscribers may be told of. */
  get position (): number {
    return this.#position
  }

  /** Those at the live end have been told of everything up to here, or have it on its way to them. */
  get matched (): number {
    return this.#matching.position
  }

  get #settled (): boolean {
    return this.#matching.position >= this.#position
  }

  /** Aborted when the hub closes. */
  get closing (): AbortSignal {
    return this.#closing.signal
  }

  cursor (position = this.#position): string {
    return this.log.cursor(position)
  }

  /** Takes committed changes, in order, right after the last ones. */
  append (entries: readonly LogEntry[]): void {
    try {
      this.#append(entries)
    } catch (error) {
      this.#fault(error)
    }
  }

  #append (entries: readonly LogEntry[]): void {
    const former = this.#position
    this.#position = entries.at(-1)?.position ?? former
    if (this.#classes.size === 0) {
      this.#matching.restart(this.#position)
      return this.#history.restart(this.#position)
    }
    const waits = !this.#settled && !this.#matching.idle
    const changes = entries.map(entry => new EncodedChange(entry, this.log))
    for (const change of changes) this.#history.push(change)
    this.#matching.push(former, changes)
    if (!waits) this.#match(performance.now() + this.settings.slice)
    if (this.#closing.signal.aborted) return
    if (!this.#settled) this.#gate.shut() // there is more to match than there is time for
    if (this.#passes.due || !this.#settled) this.#pacer.wake('committed')
  }

  /** The log has become another one: no cursor given out so far is good any more. */
  reset (): void {
    this.#restart(new ChangeStreamError('gone', 'the log has been replaced by another'))
  }

  /** Something failed in work that is shared: nobody can know what it left undone. */
  #fault (error: unknown): void {
    if (error instanceof ChangeStreamError && error.code === 'gone') return this.#restart(error)
    this.report(error)
    this.#restart(new ChangeStreamError('internal', 'the stream failed', { cause: error }))
  }

  /** Starts anew at the log's end. Every subscriber is lost by `error`, which may make it start again. */
  #restart (error: ChangeStreamError): void {
    this.#position = this.log.position
    this.#matching.restart(this.#position)
    this.#history.clear(this.#position)
    this.#passes.clear()
    for (const subscription of this.#subscriptions) guarded(subscription, () => error.code === 'gone' ? subscription.lose(error) : subscription.fail(error))
    for (const filterClass of this.#classes) filterClass.restart(this.#position)
    this.#steps.resume()
  }

  #match (deadline: number): void {
    this.#matching.run(deadline)
    if (this.#settled) this.#steps.resume()
    const from = this.#matching.missing(this.#position)
    if (from === null || this.#reading) return
    this.#reading = true
    const { epoch } = this.log
    Promise.resolve(this.read(from)).then(changes => {
      if (this.log.epoch === epoch) this.#matching.push(from, changes)
    }).catch((error: unknown) => this.#fault(error)).finally(() => {
      this.#reading = false
      this.#pacer.wake()
    })
  }

  #offer (filterClass: FilterClass, change: EncodedChange): void {
    try {
      if (filterClass.take(change)) this.#passes.add(filterClass)
    } catch (error) {
      this.report(error)
      filterClass.abandon(change.position, error)
    }
  }

  /** The position to start at for `since`: see `History.locate`. */
  async locate (since: Since): Promise<number> {
    return await this.#history.locate(since, () => this.#position)
  }

  /** Some changes right after `position`, from memory or from the log. */
  read (position: number): readonly EncodedChange[] | Promise<readonly EncodedChange[]> {
    return this.#history.after(position)
  }

  /** The class of subscribers that ask the same; every call must be matched by `release`. */
  classOf (filter: Filter, reader: Reader): FilterClass {
    return this.#classes.acquire(filter, reader, this.#matching.position)
  }

  release (filterClass: FilterClass): void {
    if (this.#classes.release(filterClass)) this.#passes.delete(filterClass)
  }

  add (subscription: Subscriber): void {
    this.#subscriptions.add(subscription)
  }

  remove (subscription: Subscriber): void {
    this.#subscriptions.delete(subscription)
    this.#steps.delete(subscription)
  }

  /** Calls the subscription's `step` in one of the next slices. */
  enqueue (subscription: Subscriber): void {
    this.#steps.add(subscription)
  }

  /** Calls the subscription's `step` once those at the live end have been told of everything, or have it on its way to them. */
  enqueueOnceMatched (subscription: Subscriber): void {
    this.#steps.postpone(subscription)
  }

  /** Tells of what no caller waits for. */
  report (error: unknown): void {
    this.#onError(error)
  }

  /** Says goodbye to every subscriber, and asks them to come back spread over `within` milliseconds. */
  close (within: number): void {
    this.#steps.close()
    this.#closing.abort()
    for (const subscription of this.#subscriptions) guarded(subscription, () => subscription.sayGoodbye(Math.round(Math.random() * within)))
    this.#pacer.close()
    this.#gate.open()
  }

  /** A slice of work; says whether something is left. */
  #work (deadline: number): boolean {
    try {
      return this.#slice(deadline)
    } catch (error) {
      this.#fault(error)
      return this.#steps.due
    }
  }

  /** What has been committed is matched first, then those at the live end are served, unless the last slice was all theirs. */
  #slice (deadline: number): boolean {
    if (this.#turn === 'steps') this.#steps.run(deadline)
    if (!this.#settled) this.#match(this.#passes.due ? deadline - this.settings.slice / 2 : deadline) // those at the live end have half of it
    const passing = performance.now() < deadline && this.#passes.run(deadline)
    if (this.#turn === 'passes' && !passing) this.#steps.run(deadline)
    this.#turn = (passing || !this.#settled) && this.#turn === 'passes' ? 'steps' : 'passes'
    if (this.#passes.due) this.#gate.pause()
    else this.#passes.relax()
    return this.#passes.due || this.#steps.due || !this.#matching.idle
  }
}

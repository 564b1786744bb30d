import type { LogEntry } from '../../protocol/change.ts'
import { ChangeStreamError } from '../../protocol/errors.ts'
import type { Stored } from '../../protocol/log.ts'
import type { Mutation, Outcome } from '../store.ts'
import type { RecordChange } from './database.ts'
import { isDatabaseError, isFault, storeError } from './driver.ts'
import { type Applied, outcomeReader } from './outcomes.ts'

/** What the writer needs of its store; every call is part of the transaction that `begin` opens. */
export interface WriteHost {
  begin (): void
  commit (): void
  /** @throws {ChangeStreamError} where what was committed is in a file that is gone, so that it must not be answered as kept */
  assertFile (): void
  rollback (): void
  /** Whether the transaction goes on. */
  inTransaction (): boolean
  /** Runs `write` so that it leaves nothing behind if it throws. */
  atomically<T> (write: () => T): T
  read (id: string): Stored | null
  /** Creates, replaces or deletes the record. */
  apply (change: RecordChange): void
  /** Deletes what is stored under an id, be it a record or not; whether there was something. */
  remove (id: string): boolean
  /** The newest position. */
  head (): number
  /** The log behind a position, in which `changes` have been made. */
  entriesOf (changes: readonly RecordChange[], position: number): LogEntry[]
  /** Tells of what was committed; resolves when all up to the last entry has been told. */
  announce (entries: readonly LogEntry[]): Promise<void> | undefined
  /** Hears of what fails after a commit, which stands all the same. */
  failed (error: unknown): void
}

interface Pending {
  readonly mutations: readonly Mutation[]
  /** On `performance.now()`'s clock. */
  readonly deadline: number
  readonly resolve: (outcomes: Outcome[] | PromiseLike<Outcome[]>) => void
  readonly reject: (error: ChangeStreamError) => void
}

/** A write of the group after its turn. */
interface Attempt {
  readonly pending: Pending
  readonly applied: readonly Applied[]
  readonly error: ChangeStreamError | null
}

const groupSize = 256 // mutations, a few milliseconds
const groupBytes = 2_097_152 // of records, before and after; the last write of a group may bring more
const shortestWait = 2 // milliseconds until a lock is tried again
const longestWait = 20

/**
 * Group commit: the writes that arrive in one turn of the event loop share one transaction and so one sync to disk.
 * Each is answered after the commit, and fails alone where it is refused. While another process holds the lock, the group
 * waits without blocking, and each write has its deadline.
 */
export class Writer {
  readonly #host: WriteHost
  readonly #patience: number
  readonly #queue: Pending[] = []
  /** `idle`: nothing to do; `due`: a commit comes with the next turn; `locked`: it comes when a timer ends. */
  #state: 'idle' | 'due' | 'locked' = 'idle'
  #drained: (() => void) | undefined
  /** Of how many of the next writes care is taken, since their group has failed: each has a savepoint, or else a transaction of its own. */
  #careful = 0
  #care: 'savepoint' | 'transaction' = 'savepoint'

  /** @param patience milliseconds that a write may wait for a lock */
  constructor (host: WriteHost, patience: number) {
    this.#host = host
    this.#patience = patience
  }

  write (mutations: readonly Mutation[]): Promise<Outcome[]> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ mutations, deadline: performance.now() + this.#patience, resolve, reject })
      this.#schedule()
    })
  }

  /** Resolves when every write so far has been answered. */
  async drain (): Promise<void> {
    if (this.#queue.length > 0) await new Promise<void>(resolve => { this.#drained = resolve })
  }

  #schedule (): void {
    if (this.#state !== 'idle' || this.#queue.length === 0) return
    this.#state = 'due'
    setImmediate(() => this.#turn())
  }

  #turn (): void {
    this.#state = 'idle'
    const size = this.#groupLength()
    try {
      this.#host.begin()
    } catch (error) {
      if (isFault(error, 'busy')) this.#wait(error)
      else this.#refuse(this.#queue.splice(0, size), error)
      return this.#next()
    }
    this.#commit(this.#queue.splice(0, size))
    this.#next()
  }

  #next (): void {
    this.#schedule()
    if (this.#queue.length === 0) this.#drained?.()
  }

  #groupLength (): number {
    if (this.#careful > 0) return this.#care === 'transaction' ? 1 : Math.min(this.#careful, this.#queue.length)
    let mutations = 0
    const full = this.#queue.findIndex(pending => (mutations += pending.mutations.length) > groupSize)
    return full < 0 ? this.#queue.length : Math.max(full, 1)
  }

  /** Someone else holds the lock: gives up those whose time is over, and comes back for the others. */
  #wait (error: unknown): void {
    const now = performance.now()
    const late = this.#queue.filter(pending => pending.deadline <= now)
    this.#queue.splice(0, this.#queue.length, ...this.#queue.filter(pending => pending.deadline > now))
    this.#refuse(late, error)
    if (this.#queue.length === 0) return
    this.#state = 'locked'
    setTimeout(() => this.#turn(), shortestWait + Math.random() * (longestWait - shortestWait))
  }

  #commit (group: Pending[]): void {
    const host = this.#host
    let attempts: Attempt[]
    let entries: LogEntry[]
    let outcomes: Outcome[][]
    try {
      const start = host.head()
      attempts = this.#attempts(group)
      entries = host.entriesOf(attempts.flatMap(attempt => attempt.applied).filter(isChange), start)
      const outcomeOf = outcomeReader(entries, start)
      outcomes = attempts.map(attempt => attempt.applied.map(outcomeOf))
      host.commit()
    } catch (error) {
      host.rollback()
      if (this.#takesMoreCare(group, error)) return
      return this.#refuse(group, error)
    }
    this.#careful = Math.max(this.#careful - group.length, 0)
    try {
      if (entries.length > 0) host.assertFile()
    } catch (error) {
      return this.#refuse(group, error)
    }
    const told = this.#announce(entries)
    for (const [index, { pending, error }] of attempts.entries()) {
      const answer = outcomes[index] ?? []
      if (error) pending.reject(error)
      else pending.resolve(told ? told.then(() => answer) : answer)
    }
  }

  /**
   * One of the group has failed in a way that may concern the others: a trigger that leaves half of it behind or ends the
   * transaction, or a constraint that is looked at when that ends. They are done again, more carefully, unless that is no use.
   */
  #takesMoreCare (group: readonly Pending[], error: unknown): boolean {
    const wasAlone = group.length === 1 && this.#careful > 0 && this.#care === 'transaction'
    if (isFault(error, 'transaction') || wasAlone) {
      this.#careful = Math.max(this.#careful - group.length, 0)
      return false
    }
    this.#care = this.#careful > 0 || group.length === 1 ? 'transaction' : 'savepoint'
    this.#careful = Math.max(this.#careful, group.length)
    this.#queue.unshift(...group)
    return true
  }

  /** Does the group's writes. Those that would make it too large go back to the head of the queue. */
  #attempts (group: Pending[]): Attempt[] {
    const attempts: Attempt[] = []
    let bytes = 0
    for (const pending of group) {
      if (bytes > groupBytes) break
      const attempt = this.#attempt(pending)
      attempts.push(attempt)
      for (const { before, json } of attempt.applied) bytes += (before?.json.length ?? 0) + (json?.length ?? 0)
    }
    this.#queue.unshift(...group.splice(attempts.length))
    return attempts
  }

  /** What was committed is answered, whatever comes of telling it. */
  #announce (entries: readonly LogEntry[]): Promise<void> | undefined {
    try {
      return this.#host.announce(entries)?.catch((error: unknown) => this.#host.failed(error))
    } catch (error) {
      this.#host.failed(error)
      return undefined
    }
  }

  /** One write of the group: what it did, or why it alone was refused. An error that may end the transaction is thrown. */
  #attempt (pending: Pending): Attempt {
    const { mutations } = pending
    const write = (): Applied[] => mutations.map(mutation => this.#apply(mutation))
    const saved = mutations.length > 1 || this.#careful > 0
    try {
      return { pending, applied: saved ? this.#host.atomically(write) : write(), error: null }
    } catch (error) {
      const inDoubt = isFault(error, 'trigger') && !saved // it may have said RAISE(FAIL, …), which undoes nothing
      if (inDoubt || isFault(error, 'transaction') || !this.#host.inTransaction()) throw error
      return { pending, applied: [], error: writeError(error) }
    }
  }

  #apply ({ id, fresh, clears, decide }: Mutation): Applied {
    const before = fresh ? null : this.#host.read(id)
    if (clears && before === null && this.#host.remove(id)) return { id, before, json: null }
    const json = decide(before)
    if (json === undefined || (json === null && before === null)) return { id, before, json: undefined }
    const change = { id, before, json }
    this.#host.apply(change)
    return change
  }

  #refuse (group: readonly Pending[], error: unknown): void {
    for (const pending of group) pending.reject(storeError(error, 'writing'))
  }
}

/** Why one write was refused. What is no error of the database's own is a fault of whoever decided on the record. */
function writeError (error: unknown): ChangeStreamError {
  if (error instanceof ChangeStreamError || isDatabaseError(error)) return storeError(error, 'writing')
  return new ChangeStreamError('internal', 'what becomes of the record could not be decided', { cause: error })
}

function isChange (applied: Applied): applied is RecordChange {
  return applied.json !== undefined
}

import type { LogEntry } from '../protocol/change.ts'
import type { Log, Stored } from '../protocol/log.ts'
import type { Sort, SortPlace } from '../protocol/sort.ts'
import type { Where } from '../protocol/where.ts'
import type { ReadBudget } from './read-budget.ts'
import type { Resource } from './resource.ts'

/** One record's part of a write. */
export interface Mutation {
  readonly id: string
  /** The `id` was made for this write, so there is no record to look for. */
  readonly fresh?: boolean
  /** Where what is stored under the `id` is no record, it is deleted, and `decide` not asked. */
  readonly clears?: boolean
  /**
   * What becomes of the record: its new JSON text, `null` to delete it, `undefined` to leave it as it is.
   * Called inside the transaction, once or again when that is tried again. What it throws refuses the whole write.
   */
  decide (current: Stored | null): string | null | undefined
}

/** What a mutation did. */
export interface Outcome {
  readonly before: Stored | null
  readonly after: Stored | null
  /** A reader that has reached this position has seen the mutation. */
  readonly position: number
}

export interface ListQuery {
  readonly where: Where | null
  readonly sort: Sort
  readonly limit: number
  /** The `next` of the page before. */
  readonly after: SortPlace | null
  /** What is given of each record besides `id`; the whole of it by default. */
  readonly fields?: readonly string[] | null
  /** The most JSON in the page, bytes, though always one record; 1 MiB by default. */
  readonly bytes?: number
}

/** A page of a list: as many records as fit into `limit` and `bytes`. */
export interface Listing {
  /** With `fields` their `json` holds those alone. */
  readonly records: readonly Stored[]
  /** The place of the last of them, where more follow. */
  readonly next: SortPlace | null
  /** The records are those of this position. */
  readonly position: number
}

/** What a store tells about its log, in order and in the same turn for all who listen. */
export interface StoreEvents {
  /** Committed changes: each position once, growing, without a gap since the one before. */
  committed (entries: readonly LogEntry[]): void
  /** The log is another one: `epoch` and `position` have changed and nothing can be said of what was between. */
  reset (): void
  /** Something failed that no caller waits for. */
  failed (error: unknown): void
}

/**
 * What a database must do for a resource. Every rejection is a `ChangeStreamError`: `unavailable` where the database can't
 * answer now, `conflict` where a constraint of its own refuses a write.
 */
export interface Store extends Log {
  /** Whom to tell; called once, before anything is written. */
  listen (events: StoreEvents): void
  get (id: string): Promise<Stored | null>
  /** @param signal aborted where nobody waits for the list any more; it rejects with the reason then */
  list (query: ListQuery, signal?: AbortSignal): Promise<Listing>
  /** All of `mutations` in one transaction, or none; resolves when they are durable, after `committed` told them. */
  write (mutations: readonly Mutation[]): Promise<Outcome[]>
  close (): Promise<void>
}

/**
 * Opens a resource's store: what `memory()` and `sqlite()` return.
 * @param budget what its lists are read with, one for all stores of an app; one of its own by default
 */
export type OpenStore = (resource: Resource, budget?: ReadBudget) => Promise<Store>

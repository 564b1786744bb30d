import { EventEmitter } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { TSchema } from '@sinclair/typebox'
import type { Change, LogEntry } from '../protocol/change.ts'
import { ChangeStreamError } from '../protocol/errors.ts'
import { clip, nestingFlaw } from '../protocol/json.ts'
import type { Log, Stored } from '../protocol/log.ts'
import { Batch, creation } from './batch.ts'
import { type Conditions, assertConditions, checkConditions } from './conditions.ts'
import { mergePatch } from './merge-patch.ts'
import { reading } from './reading.ts'
import { type Body, type RecordOf, type Resource, invalidBody } from './resource.ts'
import { type Page, Saved, Versioned } from './saved.ts'
import type { ListQuery, Mutation, Outcome, Store } from './store.ts'

export { Saved, Versioned, type Page } from './saved.ts'

export interface RepositoryEvents<S extends TSchema> {
  /** One committed change, whoever made it, in the order of the log. */
  change: [change: Change<RecordOf<S>>]
  /** The changes of one commit, told before `change` tells them one by one. */
  committed: [entries: readonly LogEntry[]]
  /** The log is another one, with another epoch. */
  reset: []
}

type AnyObject = Readonly<Record<string, unknown>>

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/**
 * The records of a resource and the one way to change them, the same for REST and for the app's own code. Bodies are
 * checked against the schema; each committed change is emitted as `change`, also one made by another process.
 *
 * Every method rejects with a `ChangeStreamError`, whose `code` says what is wrong.
 */
export class Repository<S extends TSchema = TSchema> extends EventEmitter<RepositoryEvents<S>> {
  readonly resource: Resource<S>
  readonly #store: Store
  readonly #onError: (error: unknown) => void
  readonly #admit: () => Promise<void> | null

  /**
   * @param onError hears of what fails where no caller waits: a poll of the database, a listener that throws
   * @param admit is asked before each write, and may hold it back or refuse it
   */
  constructor (resource: Resource<S>, store: Store, onError: (error: unknown) => void, admit: () => Promise<void> | null = () => null) {
    super()
    this.setMaxListeners(0)
    this.resource = resource
    this.#store = store
    this.#onError = onError
    this.#admit = admit
    store.listen({ committed: entries => this.#announce(entries), reset: () => this.#tell('reset'), failed: onError })
  }

  /** The log, to read. */
  get log (): Log {
    return this.#store
  }

  /** Creates a record under a new id. */
  async create (body: Body<S>): Promise<Saved<S>> {
    reading(() => this.resource.check(body))
    return await this.#writeOne(creation(this.resource, body))
  }

  /** Creates all of `bodies` in one transaction, or none. Where they are many they are read in several turns of the event loop, and must be left alone until then. */
  async createAll (bodies: readonly Body<S>[]): Promise<Saved<S>[]> {
    const batch = new Batch(this.resource, bodies)
    while (batch.check()) await turn()
    const outcomes = await this.#write(batch.creations())
    return outcomes.map(outcome => this.#saved(outcome))
  }

  /** Creates a record, or replaces the one that has `id`. */
  async save (record: Body<S> & { id?: string }, conditions: Conditions = {}): Promise<Saved<S>> {
    if (!isObject(record) || record.id === undefined) return await this.create(record)
    return await this.#replace(record.id, record, conditions, true)
  }

  /** Replaces a record; with `ifNoneMatch: '*'` creates it under the given id. A record that would stay as it is is no change. */
  async replace (id: string, body: Body<S>, conditions: Conditions = {}): Promise<Saved<S>> {
    return await this.#replace(id, body, conditions, conditions.ifNoneMatch === '*')
  }

  /** Applies a JSON Merge Patch (RFC 7396); the result is checked. A record that would stay as it is is no change. */
  async patch (id: string, patch: unknown, conditions: Conditions = {}): Promise<Saved<S>> {
    const key = keyOf(id)
    const own = reading(() => withoutId(id, patch))
    const errors = reading(() => this.resource.patchErrors(own))
    if (errors.length > 0) throw invalidBody(errors)
    reading(() => checkNesting(own))
    checkConditions(conditions)
    return await this.#writeOne({
      id: key,
      decide: current => {
        const { json } = this.#required(id, current, conditions)
        const patched = reading(() => mergePatch(withoutId(id, JSON.parse(json)), own))
        reading(() => this.resource.check(patched))
        return this.#changed(key, patched, json)
      }
    })
  }

  /** Deletes a record. */
  async delete (id: string, conditions: Conditions = {}): Promise<{ readonly id: string, readonly cursor: string }> {
    const key = keyOf(id)
    checkConditions(conditions)
    const [outcome] = await this.#write([{
      id: key,
      clears: conditions.ifMatch === undefined,
      decide: current => {
        this.#required(id, current, conditions)
        return null
      }
    }])
    return { id, cursor: this.#cursor(outcome?.position) }
  }

  /** The record, or `null` where there is none. */
  async get (id: string): Promise<Versioned<S> | null> {
    const stored = await this.#store.get(keyOf(id))
    return stored && new Versioned(stored)
  }

  /**
   * One page of the records.
   * @param signal stops the search where nobody waits for it any more
   */
  async list (query: ListQuery, signal?: AbortSignal): Promise<Page<S>> {
    const { records, next, position } = await this.#store.list(query, signal)
    return { items: records.map(record => new Versioned<S>(record)), more: next !== null, next, cursor: this.#cursor(position) }
  }

  /** Finishes the writes under way, then closes the store. What is asked of it afterwards is refused as `unavailable`. */
  async close (): Promise<void> {
    await this.#store.close()
  }

  async #replace (id: string, body: unknown, conditions: Conditions, creates: boolean): Promise<Saved<S>> {
    const key = keyOf(id)
    const own = reading(() => withoutId(id, body))
    reading(() => this.resource.check(own))
    checkConditions(conditions)
    if (creates && !uuid.test(id)) throw invalidBody([{ path: '/id', message: 'must be a UUID' }])
    const json = this.#json(key, own)
    return await this.#writeOne({
      id: key,
      decide: current => {
        if (creates && current === null) assertConditions(current, conditions)
        else this.#required(id, current, conditions)
        return this.#isSame(json, current?.json) ? undefined : json
      }
    })
  }

  /** The record's new JSON text, or `undefined` where it says what the record says already. */
  #changed (id: string, body: unknown, current: string): string | undefined {
    const json = this.#json(id, body)
    return this.#isSame(json, current) ? undefined : json
  }

  #isSame (json: string, current: string | undefined): boolean {
    return json === current || (current !== undefined && isDeepStrictEqual(JSON.parse(json), JSON.parse(current)))
  }

  #json (id: string, body: unknown): string {
    return reading(() => this.resource.toJson(id, body as AnyObject))
  }

  #required (id: string, current: Stored | null, conditions: Conditions): Stored {
    if (current === null) throw new ChangeStreamError('not-found', `there is no ${this.resource.noun} ${clip(id)}`)
    assertConditions(current, conditions)
    return current
  }

  #write (mutations: readonly Mutation[]): Promise<Outcome[]> {
    const admitted = this.#admit()
    return admitted === null ? this.#store.write(mutations) : admitted.then(() => this.#store.write(mutations))
  }

  async #writeOne (mutation: Mutation): Promise<Saved<S>> {
    const [outcome] = await this.#write([mutation])
    return this.#saved(outcome)
  }

  #saved (outcome: Outcome | undefined): Saved<S> {
    if (!outcome?.after) throw new ChangeStreamError('internal', 'the store kept nothing of what was saved')
    return new Saved<S>(outcome.after, outcome.before === null, this.#cursor(outcome.position))
  }

  #cursor (position = this.#store.position): string {
    return this.#store.cursor(position)
  }

  #announce (entries: readonly LogEntry[]): void {
    this.#tell('committed', entries)
    if (this.listenerCount('change') === 0) return
    for (const entry of entries) if (!entry.isNobodys) this.#tell('change', entry.toChange())
  }

  /** Emits, and lets no listener that throws, now or later, keep the news from the others. */
  #tell<E extends keyof RepositoryEvents<S>> (event: E, ...news: RepositoryEvents<S>[E]): void {
    for (const listener of this.rawListeners(event)) {
      try {
        const result: unknown = Reflect.apply(listener, this, news)
        if (mayBePromise(result)) new Promise(resolve => resolve(result)).catch(this.#onError) // whatever its `then` does
      } catch (error) {
        this.#onError(error)
      }
    }
  }
}

/** Whether awaiting `value` may run code of its own. */
function mayBePromise (value: unknown): boolean {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

/** The key of an address: ids are compared without case (RFC 9562, 4). */
function keyOf (id: string): string {
  if (typeof id !== 'string') throw invalidBody([{ path: '/id', message: `must be a string, not ${typeof id}` }])
  return id.toLowerCase()
}

function checkNesting (patch: unknown): void {
  const flaw = nestingFlaw(patch)
  if (flaw !== null) throw invalidBody([{ path: '', message: flaw }])
}

/** `body` without an `id` that is the address's own. */
function withoutId (id: string, body: unknown): unknown {
  if (!isObject(body) || !Object.hasOwn(body, 'id')) return body
  const { id: own, ...rest } = body
  if (typeof own !== 'string' || own.toLowerCase() !== id.toLowerCase()) throw invalidBody([{ path: '/id', message: `must be ${clip(id)}, as in the address` }])
  return rest
}

function isObject (value: unknown): value is AnyObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

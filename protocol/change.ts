/** What every record has besides what its schema says. */
export interface Identified { readonly id: string }

interface Committed {
  readonly id: string
  /** Its place in the log. */
  readonly position: number
  /** When it was committed: RFC 3339, UTC, milliseconds. */
  readonly at: string
}

/** A record was created (`before` is `null`) or replaced. */
export interface Save<R extends Identified = Identified> extends Committed {
  readonly op: 'save'
  /** Names this state of the record; the `ETag` of REST. */
  readonly version: string
  readonly record: R
  readonly before: R | null
}

/** A record was deleted. */
export interface Delete<R extends Identified = Identified> extends Committed {
  readonly op: 'delete'
  readonly before: R
}

/** One committed mutation (contract §1). */
export type Change<R extends Identified = Identified> = Save<R> | Delete<R>

/** A record as plain JSON, its properties not known at compile time. */
export type Json = Readonly<Record<string, unknown>> & Identified

/** The last moment that a date can name, milliseconds since 1970: another program may have dated an entry beyond it. */
const latest = 8.64e15

/**
 * A row of the log. It keeps records as the JSON text that the store has, so that a change which nobody looks into is
 * never parsed; `record` and `before` parse on demand, once.
 */
export class LogEntry {
  readonly position: number
  readonly id: string
  /** When it was committed, milliseconds since 1970. */
  readonly time: number
  readonly version: string
  /** The record after the change as JSON text, `null` when it was deleted. */
  readonly json: string | null
  /** The record before the change as JSON text, `null` when it was created. */
  readonly beforeJson: string | null
  #record: Json | null | undefined
  #before: Json | null | undefined
  #at: string | undefined

  constructor (row: { position: number, id: string, time: number, version: string, json: string | null, beforeJson: string | null }) {
    this.position = row.position
    this.id = row.id
    this.time = row.time
    this.version = row.version
    this.json = row.json
    this.beforeJson = row.beforeJson
  }

  /** Neither before nor after it there was a record: something that is none was written or removed. */
  get isNobodys (): boolean {
    return this.json === null && this.beforeJson === null
  }

  get at (): string {
    this.#at ??= new Date(Math.min(Math.max(this.time, -latest), latest)).toISOString()
    return this.#at
  }

  get record (): Json | null {
    if (this.#record === undefined) this.#record = this.json === null ? null : JSON.parse(this.json) as Json
    return this.#record
  }

  get before (): Json | null {
    if (this.#before === undefined) this.#before = this.beforeJson === null ? null : JSON.parse(this.beforeJson) as Json
    return this.#before
  }

  /** The change as an app sees it: plain data of its own, which a listener may keep or alter. */
  toChange<R extends Identified> (): Change<R> {
    const { id, position, at, version } = this
    const before = this.beforeJson === null ? null : JSON.parse(this.beforeJson) as R
    if (this.json !== null) return { op: 'save', id, position, at, version, record: JSON.parse(this.json) as R, before }
    return { op: 'delete', id, position, at, before: before as R }
  }
}

import type { TSchema } from '@sinclair/typebox'
import type { Stored } from '../protocol/log.ts'
import type { SortPlace } from '../protocol/sort.ts'
import type { RecordOf } from './resource.ts'

/** A record in one of its versions. */
export class Versioned<S extends TSchema = TSchema> {
  readonly id: string
  /** Names this state of the record; its `ETag`. */
  readonly version: string
  /** The record as JSON text. */
  readonly json: string
  #record: RecordOf<S> | undefined

  constructor ({ id, version, json }: Stored) {
    this.id = id
    this.version = version
    this.json = json
  }

  get record (): RecordOf<S> {
    this.#record ??= JSON.parse(this.json) as RecordOf<S>
    return this.#record
  }
}

/** What a write left behind. */
export class Saved<S extends TSchema = TSchema> extends Versioned<S> {
  /** Whether there was no such record before. */
  readonly created: boolean
  /** A reader of the stream that has reached this cursor has seen the write. */
  readonly cursor: string

  constructor (stored: Stored, created: boolean, cursor: string) {
    super(stored)
    this.created = created
    this.cursor = cursor
  }
}

/** One page of a list. */
export interface Page<S extends TSchema = TSchema> {
  readonly items: readonly Versioned<S>[]
  /** Whether records follow the last one. */
  readonly more: boolean
  /** Where they do, what to ask for the next page with, as `after`. */
  readonly next: SortPlace | null
  /** The position in the log that the records are of, as a cursor. */
  readonly cursor: string
}

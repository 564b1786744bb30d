import { isDeepStrictEqual } from 'node:util'
import { type Filter, type Plain, type Where, holds, seen } from './things.ts'

/** A change as the JSON readers tell it, without its time. */
export interface Told {
  readonly op: string
  readonly id: string
  readonly position: number
  readonly version?: string | undefined
  readonly record?: Plain
  readonly reason?: string
}

export type Records = ReadonlyMap<string, Plain>

interface Entry {
  readonly position: number
  readonly id: string
  readonly version: string | undefined
  readonly before: Plain | null
  readonly after: Plain | null
}

export interface Cursor { readonly epoch: string, readonly position: number }

export function readCursor (text: string): Cursor {
  const dot = text.lastIndexOf('.')
  return { epoch: text.slice(0, dot), position: Number(text.slice(dot + 1)) }
}

/** What the log should be: all that was committed, never trimmed, and the records of every position. */
export class ModelLog {
  readonly #epochs: string[]
  readonly #entries: Entry[] = []
  readonly #records: Records[] = [new Map()]

  constructor (epoch: string) {
    this.#epochs = [epoch]
  }

  /** The log was opened again. */
  begin (epoch: string): void {
    this.#epochs.push(epoch)
  }

  /** Whether it has given out positions under that name. */
  hasEpoch (epoch: string): boolean {
    return this.#epochs.includes(epoch)
  }

  get head (): number {
    return this.#entries.length
  }

  commit (id: string, after: Plain | null, version: string | undefined): void {
    const records = new Map(this.at(this.head))
    this.#entries.push({ position: this.head + 1, id, version, before: records.get(id) ?? null, after })
    if (after) records.set(id, after)
    else records.delete(id)
    this.#records.push(records)
  }

  /** The records of a position. */
  at (position: number): Records {
    const records = this.#records[position]
    if (!records) throw new Error(`position ${position} is not in the log, which ends at ${this.head}`)
    return records
  }

  /** Whether a version names a state that a record has been in. */
  knows (version: string | undefined): boolean {
    return version !== undefined && this.#entries.some(entry => entry.version === version)
  }

  versionOf (id: string, position: number): string | undefined {
    return this.#entries.slice(0, position).findLast(entry => entry.id === id)?.version
  }

  /** What the filter lets through behind `after`, up to and with `upTo`: the table of contract §4. */
  told (filter: Filter, after: number, upTo: number): Told[] {
    if (upTo > this.head) throw new Error(`position ${upTo} is ahead of the log, which ends at ${this.head}`)
    return this.#entries.slice(after, upTo).flatMap(entry => this.#told(filter, entry))
  }

  #told ({ filter, where, fields }: Filter, { position, id, version, before, after }: Entry): Told[] {
    const was = before !== null && holds(where, before)
    const is = after !== null && holds(where, after)
    if (is) return filter === 'deletes' ? [] : [{ op: 'save', id, position, version, record: seen(after, fields) }]
    if (!was || filter === 'saves') return []
    return after === null ? [{ op: 'delete', id, position }] : [{ op: 'leave', id, position, reason: 'changed' }]
  }

  /** The records of a position as a subscriber sees them. */
  view (where: Where, fields: readonly string[] | null, position: number): Records {
    const records = [...this.at(position)].filter(([, record]) => holds(where, record))
    return new Map(records.map(([id, record]) => [id, seen(record, fields)]))
  }

  /** What a view is told at a position when another filter takes over, by id. */
  difference (from: Filter, to: Filter, position: number): Map<string, Told> {
    const redrawn = !isDeepStrictEqual([...from.fields ?? ['*']].sort(), [...to.fields ?? ['*']].sort())
    const told = new Map<string, Told>()
    for (const [id, record] of this.at(position)) {
      const was = holds(from.where, record)
      const is = holds(to.where, record)
      if (is && (!was || redrawn) && to.filter !== 'deletes') told.set(id, { op: 'save', id, position, version: this.versionOf(id, position), record: seen(record, to.fields) })
      if (was && !is && to.filter !== 'saves') told.set(id, { op: 'leave', id, position, reason: 'filter' })
    }
    return told
  }
}

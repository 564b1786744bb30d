import { type Filter, fieldsKey } from '../protocol/filter.ts'
import type { Log, Snapshot } from '../protocol/log.ts'
import { type Where, whereKey } from '../protocol/where.ts'
import { Allowance } from './allowance.ts'

/** A filter to go by after a position. */
export interface FilterChange {
  readonly at: number
  readonly filter: Filter
  /** The records of that position, where the difference is to be sent. */
  readonly snapshot: Snapshot | null
}

const mostWaiting = 32
/** Filters that may be asked for at once, and in each second after. */
const filterBurst = 100
const filtersPerSecond = 20

/** The filters that a subscriber has asked for and does not go by yet, in order. */
export class FilterChanges {
  readonly #allowance = new Allowance(filterBurst, filtersPerSecond)
  #waiting: FilterChange[] = []

  /** The one to go by next. */
  get next (): FilterChange | undefined {
    return this.#waiting[0]
  }

  /** The one that was asked for last. */
  get last (): FilterChange | undefined {
    return this.#waiting.at(-1)
  }

  /** Whether one more may be asked for now; to ask counts. To be asked before the filter is looked at: that is what costs. */
  admit (): boolean {
    return this.#waiting.length < mostWaiting && this.#allowance.take()
  }

  push (change: FilterChange): void {
    this.#waiting.push(change)
  }

  shift (): void {
    this.#waiting.shift()
  }

  clear (): void {
    for (const { snapshot } of this.#waiting) snapshot?.close()
    this.#waiting = []
  }
}

/** The records of now that `former` or `filter` match, if the two make different views of them. */
export function snapshotOfBoth (log: Log, former: Filter, filter: Filter): Snapshot | null {
  const differ = whereKey(former.where) !== whereKey(filter.where) || fieldsKey(former.fields) !== fieldsKey(filter.fields)
  return differ ? log.snapshot(either(former.where, filter.where)) : null
}

function either (one: Where | null, other: Where | null): Where | null {
  return one && other && { kind: 'or', of: [one, other] }
}

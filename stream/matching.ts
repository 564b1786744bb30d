import type { ClassIndex } from './class-index.ts'
import type { EncodedChange } from './encoded.ts'
import type { FilterClass } from './filter-class.ts'

/** Conditions that are tested between two looks at the clock, about; larger records count for more. */
const weightPerLook = 512
/** Bytes of a change that weigh as much as a condition. */
const bytesPerCondition = 64

/**
 * Offers each committed change to the classes that it may concern, in order. It is work like other work: what a slice has
 * no time for waits for the next one, be it some of the classes that one change may concern.
 */
export class Matching {
  readonly #index: ClassIndex
  readonly #limit: number
  readonly #offer: (filterClass: FilterClass, change: EncodedChange) => void
  /** Changes that have yet to be offered, the first of them maybe to some classes already. */
  #queue: EncodedChange[] = []
  #size = 0
  /** The classes that have yet to be offered the first change. */
  #candidates: Iterator<FilterClass> | undefined
  /** All classes have been offered everything up to here. */
  #position: number
  /** Everything up to here is in the queue, or has been. */
  #queued: number

  /**
   * @param limit of the queue, bytes: what comes beyond is left to `missing`
   * @param offer must not throw
   */
  constructor (position: number, index: ClassIndex, limit: number, offer: (filterClass: FilterClass, change: EncodedChange) => void) {
    this.#position = this.#queued = position
    this.#index = index
    this.#limit = limit
    this.#offer = offer
  }

  /** Everything up to here has been offered to every class. */
  get position (): number {
    return this.#position
  }

  get idle (): boolean {
    return this.#queue.length === 0
  }

  /** Where to read on in the log once the queue is empty, to come to `head`; `null` where nothing is missing. */
  missing (head: number): number | null {
    return this.idle && this.#queued < head ? this.#queued : null
  }

  /** Takes the changes right after `position` if it has all before them; what the queue has no room for must be brought again. */
  push (position: number, changes: readonly EncodedChange[]): void {
    if (position !== this.#queued) return
    for (const change of changes) {
      if (this.#size > this.#limit) return
      this.#queue.push(change)
      this.#size += change.size
      this.#queued = change.position
    }
  }

  /** Offers changes until `deadline`, on `performance.now()`'s clock; says whether the queue is empty. */
  run (deadline: number): boolean {
    let done = 0
    let weight = 0
    for (let change = this.#queue[done]; change; change = this.#queue[++done]) {
      this.#candidates ??= this.#index.candidates(change.entry)[Symbol.iterator]()
      for (let next = this.#candidates.next(); !next.done; next = this.#candidates.next()) {
        this.#offer(next.value, change)
        weight += next.value.weight + change.size / bytesPerCondition
        if (weight < weightPerLook) continue
        weight = 0
        if (performance.now() > deadline) return this.#drop(done)
      }
      this.#candidates = undefined
      this.#position = change.position
    }
    return this.#drop(done)
  }

  /** Nothing between here and `position` need be offered to anybody. */
  restart (position: number): void {
    this.#queue = []
    this.#size = 0
    this.#candidates = undefined
    this.#position = this.#queued = position
  }

  /** Lets go of the first changes of the queue; says whether it is empty now. */
  #drop (count: number): boolean {
    for (const change of this.#queue.splice(0, count)) this.#size -= change.size
    return this.#queue.length === 0
  }
}

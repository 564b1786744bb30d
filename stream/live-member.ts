import type { Connection } from './connection.ts'
import type { FilterClass, Member } from './filter-class.ts'

/** Who is told what a member can't do for itself. */
export interface Owner {
  /** The class no longer has what comes behind `position`: the member has left it. */
  overtaken (position: number): void
  /** Something failed that nobody foresaw: the member is to leave. */
  fault (error: unknown): void
}

/**
 * One subscription's part in its class:
 * - `live`: the class tells it when to write what
 * - `lagging`: it waits for its connection, then goes on from the class's ring, until it is at the end again
 */
export class LiveMember implements Member {
  position: number
  place = 0
  readonly #class: FilterClass
  readonly #connection: Connection
  readonly #owner: Owner
  #state: 'live' | 'lagging' = 'live'

  /** @param position where it stands: everything up to the class's end has been written to it */
  constructor (filterClass: FilterClass, connection: Connection, position: number, owner: Owner) {
    this.#class = filterClass
    this.#connection = connection
    this.#owner = owner
    this.position = position
    filterClass.add(this)
  }

  get state (): 'live' | 'lagging' {
    return this.#state
  }

  deliver (): boolean {
    this.position = this.#class.standing(this.position)
    while (this.position < this.#class.end) {
      if (this.#connection.blocked) {
        this.#state = 'lagging'
        this.#class.lagging++
        return false
      }
      if (!this.#write()) return false
    }
    return true
  }

  /** Lagging, writes some of what it has missed; says whether there may be more to do at once. */
  catchUp (): boolean {
    if (this.#state === 'live') return false
    if (this.position < this.#class.end) return this.#write()
    this.#class.lagging--
    this.#state = 'live'
    this.#class.add(this)
    return false
  }

  /** The position that the peer has been brought to; `matched`: everything up to there has been offered to the class. */
  reached (matched: number): number {
    if (this.#state === 'lagging') return this.position
    return this.position >= this.#class.end ? Math.max(this.position, matched) : this.#class.standing(this.position)
  }

  leave (): void {
    if (this.#state === 'live') this.#class.remove(this)
    else this.#class.lagging--
  }

  fault (error: unknown): void {
    this.#owner.fault(error)
  }

  /** Writes the next bytes of the class, or leaves it where its ring has moved on. */
  #write (): boolean {
    const batch = this.#class.batchAfter(this.position)
    if (!batch) {
      if (this.#state === 'lagging') this.#class.lagging--
      this.#owner.overtaken(this.position)
      return false
    }
    this.#connection.write(batch.bytes)
    this.position = batch.upTo
    return true
  }
}

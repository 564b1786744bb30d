import type { Retention } from '../retention.ts'
import type { Database } from './database.ts'
import { LogSize } from './log-size.ts'

const stepEntries = 500 // a millisecond or two
const stepBytes = 4_194_304

/** A position that was the newest one at a time of `performance.now()`'s. */
interface Sighting { readonly position: number, readonly at: number }

const mostSightings = 60

/** Forgets what need not be kept of the log, in steps so small that writers don't notice. */
export class Trimmer {
  readonly #database: Database
  readonly #retention: Retention
  readonly #size: LogSize
  /** Growing in both. What is up to one of them is at least that old, whatever the clock has said since. */
  #sightings: Sighting[] = []

  constructor (database: Database, retention: Retention) {
    this.#database = database
    this.#retention = retention
    this.#size = new LogSize(database)
  }

  /**
   * Forgets some, in a transaction of its own.
   * @param told what is after this position has yet to be told, and stays
   * @returns whether there is more to forget
   */
  step (told: number): boolean {
    const { floor, head } = this.#database.bounds()
    this.#see(head)
    const upTo = Math.min(floor + stepEntries, head - this.#retention.count, told)
    const old = upTo > floor ? this.#oldUpTo(floor, upTo) : floor
    const excess = this.#size.measure(floor, head) - this.#retention.bytes
    const cut = excess > 0 ? Math.max(old, this.#database.lastWithin(Math.min(excess, stepBytes), floor, Math.min(floor + stepEntries, told))) : old
    if (cut <= floor) return !this.#size.reaches(head)
    this.#database.begin()
    try {
      this.#database.forget(cut)
      this.#database.commit()
    } catch (error) {
      this.#database.rollback()
      throw error
    }
    return cut === floor + stepEntries || cut > old || !this.#size.reaches(head)
  }

  /**
   * Up to where all is older than `age`. An entry that is dated too late, by a clock that has been put right since, is as
   * old as those after it, and as old as this process has known it.
   */
  #oldUpTo (floor: number, upTo: number): number {
    const { age } = this.#retention
    const seen = this.#sightings.findLast(({ at }) => at <= performance.now() - age)?.position ?? floor
    return seen >= upTo ? upTo : Math.max(seen, this.#database.lastUntil(Date.now() - age, floor, upTo))
  }

  #see (position: number): void {
    const at = performance.now()
    const { age } = this.#retention
    const last = this.#sightings.at(-1)
    if (last && (at - last.at < age / mostSightings || position < last.position)) return
    const old = this.#sightings.findLastIndex(sighting => sighting.at <= at - age)
    this.#sightings = [...this.#sightings.slice(Math.max(old, 0)), { position, at }]
  }
}

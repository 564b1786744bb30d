import type { FilterClass } from './filter-class.ts'
import type { Gate } from './gate.ts'

/** A pass is heavy if it brings more than this share of the backlog. */
const heavy = 1 / 8

/**
 * Brings what is new to the live subscribers, pass by pass: in a pass each class that has something new writes to each of its
 * members once, all that is new by then. Shuts the gate while members have too much to wait for, and during heavy passes.
 */
export class Passes {
  readonly #gate: Gate
  readonly #backlog: number
  readonly #matched: () => boolean
  /** Classes with members that are behind. */
  readonly #dirty = new Set<FilterClass>()
  /** Those of them that have yet to be served in the pass that is on; empty when none is. */
  #pass: FilterClass[] = []

  /**
   * @param backlog how much a member may have to wait for, bytes
   * @param matched whether all that has been committed has been given to the classes: until then the gate stays shut
   */
  constructor (gate: Gate, backlog: number, matched: () => boolean) {
    this.#gate = gate
    this.#backlog = backlog
    this.#matched = matched
  }

  /** Whether somebody waits for something. */
  get due (): boolean {
    return this.#dirty.size > 0
  }

  /** The class has something for its members. */
  add (filterClass: FilterClass): void {
    this.#dirty.add(filterClass)
    if (filterClass.backlog > this.#backlog) this.#gate.shut()
  }

  /** The class has no members any more. */
  delete (filterClass: FilterClass): void {
    this.#dirty.delete(filterClass)
    this.relax()
  }

  clear (): void {
    this.#dirty.clear()
    this.#pass = []
    this.#gate.open()
  }

  /** Does a slice of a pass; says whether something is due still. */
  run (deadline: number): boolean {
    if (this.#pass.length === 0) this.#begin()
    for (let next = this.#pass.at(-1); next; next = this.#pass.at(-1)) {
      if (next.flush(deadline)) {
        this.#pass.pop()
        if (!next.due) this.#dirty.delete(next)
      }
      if (performance.now() > deadline) break
    }
    if (this.#pass.length === 0) this.relax()
    return this.due
  }

  /** Opens the gate if nobody has too much to wait for. */
  relax (): void {
    if (this.#gate.isShut && this.#matched() && [...this.#dirty].every(({ backlog }) => backlog <= this.#backlog)) this.#gate.open()
  }

  #begin (): void {
    this.#pass = [...this.#dirty].reverse() // the last is served first: those who were there before the others
    for (const filterClass of this.#pass) {
      if (filterClass.backlog > this.#backlog * heavy) this.#gate.shut() // else what is written meanwhile makes the pass longer still
      filterClass.beginPass()
    }
  }
}

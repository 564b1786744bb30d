import { type Filter, filterKey } from '../protocol/filter.ts'
import { ClassIndex } from './class-index.ts'
import { FilterClass } from './filter-class.ts'
import type { Cursors, Reader } from './reader.ts'

/** The classes that somebody uses: one for all who ask the same. */
export class Classes implements Iterable<FilterClass> {
  readonly index = new ClassIndex()
  readonly #log: Cursors
  readonly #ringSize: number
  readonly #classes = new Map<string, FilterClass>()

  /** @param ringSize of each class, bytes */
  constructor (log: Cursors, ringSize: number) {
    this.#log = log
    this.#ringSize = ringSize
  }

  get size (): number {
    return this.#classes.size
  }

  [Symbol.iterator] (): Iterator<FilterClass> {
    return this.#classes.values()
  }

  /** The class of `filter` for `reader`, for one user more; a new one has been offered everything up to `position`. */
  acquire (filter: Filter, reader: Reader, position: number): FilterClass {
    const key = `${reader.name}|${filterKey(filter)}`
    let filterClass = this.#classes.get(key)
    if (!filterClass) {
      filterClass = new FilterClass(key, filter, reader, { log: this.#log, position, ringSize: this.#ringSize })
      this.#classes.set(key, filterClass)
      this.index.add(filterClass)
    }
    filterClass.users++
    return filterClass
  }

  /** One user less; says whether it was the last one. */
  release (filterClass: FilterClass): boolean {
    if (--filterClass.users > 0) return false
    this.#classes.delete(filterClass.key)
    this.index.delete(filterClass)
    return true
  }
}

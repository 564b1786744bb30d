import { indexAfter } from './search.ts'

/** The newest items of an ordered sequence, as many as fit into a number of bytes. */
export class Ring<T extends { readonly position: number }> {
  /** Everything up to here has been dropped. */
  floor: number
  readonly #limit: number
  readonly #sizeOf: (item: T) => number
  #items: T[] = []
  #dropped = 0
  #size = 0

  /** @param limit bytes */
  constructor (floor: number, limit: number, sizeOf: (item: T) => number) {
    this.floor = floor
    this.#limit = limit
    this.#sizeOf = sizeOf
  }

  push (item: T): void {
    this.#items.push(item)
    this.#size += this.#sizeOf(item)
    while (this.#size > this.#limit) this.#drop()
    this.#shrink()
  }

  /** The items behind `position` until they come to `bytes`, or `null` where some of them have been dropped. */
  after (position: number, bytes: number): readonly T[] | null {
    if (position < this.floor) return null
    const start = Math.max(indexAfter(this.#items, position), this.#dropped)
    let end = start
    for (let size = 0, item = this.#items[end]; item && size < bytes; item = this.#items[++end]) size += this.#sizeOf(item)
    return this.#items.slice(start, end)
  }

  /** Drops everything up to `position`, if it has not been dropped already. */
  dropTo (position: number): void {
    const end = indexAfter(this.#items, position)
    while (this.#dropped < end) this.#drop()
    this.#shrink()
    this.floor = Math.max(this.floor, position)
  }

  /** Drops everything, and goes on behind `position`, which may lie before what was there. */
  restart (position: number): void {
    this.#items = []
    this.#dropped = this.#size = 0
    this.floor = position
  }

  #drop (): void {
    const item = this.#items[this.#dropped++]
    if (!item) return
    this.#size -= this.#sizeOf(item)
    this.floor = item.position
  }

  /** Lets go of what has been dropped, once it is the larger part. */
  #shrink (): void {
    if (this.#dropped <= this.#items.length / 2) return
    this.#items = this.#items.slice(this.#dropped)
    this.#dropped = 0
  }
}

import { compareCodePoints } from '../../protocol/compare.ts'

/** Some records in order of `id`. `made`: how often the list had been shared by then. */
interface Chunk<T> { readonly items: T[], readonly made: number }

/** Records as they are at one moment, in order of `id`. */
export type Chunks<T> = readonly { readonly items: readonly T[] }[]

const chunkSize = 128

/**
 * Records by `id` and in order of it, in chunks. Who wants to read on later shares the list of chunks, which costs a few bytes for
 * each: from then on a write copies what it changes, and leaves what is shared as it is.
 */
export class Records<T extends { readonly id: string }> {
  readonly #byId = new Map<string, T>()
  #chunks: Chunk<T>[] = []
  #shared = false
  /** How often the list has been shared: a chunk that was made before the last time is not written to. */
  #time = 0

  get (id: string): T | undefined {
    return this.#byId.get(id)
  }

  /** All records, to be read before anything else is done. */
  get chunks (): Chunks<T> {
    return this.#chunks
  }

  /** All records as they are now, for as long as they are wanted. */
  share (): Chunks<T> {
    if (!this.#shared) this.#time++
    this.#shared = true
    return this.#chunks
  }

  set (id: string, record: T): void {
    const isNew = !this.#byId.has(id)
    this.#byId.set(id, record)
    const last = this.#chunks.at(-1)?.items
    if (isNew && (last === undefined || compareCodePoints(id, last.at(-1)?.id ?? '') > 0)) return this.#append(record)
    const index = Math.max(chunkOf(this.#chunks, id), 0)
    const items = this.#writable(index)
    items.splice(indexIn(items, id), isNew ? 0 : 1, record)
    if (items.length > chunkSize) this.#chunks.splice(index + 1, 0, { items: items.splice(chunkSize / 2), made: this.#time })
  }

  delete (id: string): void {
    if (!this.#byId.delete(id)) return
    const index = chunkOf(this.#chunks, id)
    const items = this.#writable(index)
    items.splice(indexIn(items, id), 1)
    if (items.length === 0) this.#chunks.splice(index, 1)
  }

  clear (): void {
    this.#byId.clear()
    this.#chunks = []
    this.#shared = false
  }

  #append (record: T): void {
    const index = this.#chunks.length - 1
    if (index >= 0 && (this.#chunks[index]?.items.length ?? 0) < chunkSize) {
      this.#writable(index).push(record)
    } else {
      this.#own()
      this.#chunks.push({ items: [record], made: this.#time })
    }
  }

  #writable (index: number): T[] {
    this.#own()
    let chunk = this.#chunks[index] as Chunk<T>
    if (chunk.made < this.#time) this.#chunks[index] = chunk = { items: [...chunk.items], made: this.#time }
    return chunk.items
  }

  #own (): void {
    if (this.#shared) this.#chunks = [...this.#chunks]
    this.#shared = false
  }
}

/** Goes through records in order of `id`, a stretch at a time. */
export class Walk<T extends { readonly id: string }> {
  #chunks: Chunks<T>
  #chunk: number
  #index: number

  /** @param after begins behind this id */
  constructor (chunks: Chunks<T>, after = '') {
    this.#chunks = chunks
    this.#chunk = Math.max(chunkOf(chunks, after), 0)
    const items = chunks[this.#chunk]?.items ?? []
    this.#index = indexIn(items, after)
    if (items[this.#index]?.id === after) this.#index++
  }

  get done (): boolean {
    return this.#chunk >= this.#chunks.length
  }

  /** The next record. */
  next (): T | null {
    while (!this.done) {
      const found = this.#chunks[this.#chunk]?.items[this.#index++]
      if (found !== undefined) return found
      this.#chunk++
      this.#index = 0
    }
    return null
  }

  end (): void {
    this.#chunks = []
  }
}

/** The last chunk that begins with `id` or before it, -1 where none does. */
function chunkOf<T extends { readonly id: string }> (chunks: Chunks<T>, id: string): number {
  let low = 0
  let high = chunks.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareCodePoints(chunks[middle]?.items[0]?.id ?? '', id) <= 0) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** Where `id` is among `items`, or would be. */
function indexIn<T extends { readonly id: string }> (items: readonly T[], id: string): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareCodePoints(items[middle]?.id ?? '', id) < 0) low = middle + 1
    else high = middle
  }
  return low
}

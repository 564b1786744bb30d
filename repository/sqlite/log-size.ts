import type { Database } from './database.ts'

/** A stretch of the log, up to a position, and the bytes that it takes. */
interface Block { readonly upTo: number, readonly bytes: number }

const blockEntries = 1000
const blocksAtOnce = 10 // some milliseconds

/**
 * How much the log holds, whoever writes to it and whoever trims it: what is new is added up, block by block, whenever it is
 * asked for, so that no write has to keep a sum.
 */
export class LogSize {
  readonly #database: Database
  #blocks: Block[] = []
  #bytes = 0
  /** All up to here has been trimmed, and is in no block. */
  #floor = 0

  constructor (database: Database) {
    this.#database = database
  }

  /** The bytes from `floor` to `head`; where much is new, those of its first part. */
  measure (floor: number, head: number): number {
    if (floor < this.#floor || head < this.#end) this.#forgetAll() // it is another log
    this.#trimTo(floor)
    for (let count = 0; count < blocksAtOnce && this.#end < head; count++) this.#add(this.#end, Math.min(this.#end + blockEntries, head))
    return this.#bytes
  }

  /** Whether all up to `head` is in the sum. */
  reaches (head: number): boolean {
    return this.#end >= head
  }

  get #end (): number {
    return this.#blocks.at(-1)?.upTo ?? this.#floor
  }

  #add (after: number, upTo: number): void {
    const bytes = this.#database.size(after, upTo)
    this.#bytes += bytes
    const last = this.#blocks.at(-1)
    const before = this.#blocks.at(-2)?.upTo ?? this.#floor
    if (last && upTo - before <= blockEntries) this.#blocks[this.#blocks.length - 1] = { upTo, bytes: last.bytes + bytes }
    else this.#blocks.push({ upTo, bytes })
  }

  #forgetAll (): void {
    this.#blocks = []
    this.#bytes = 0
    this.#floor = 0
  }

  #trimTo (floor: number): void {
    if (floor === this.#floor) return
    const kept = this.#blocks.findIndex(({ upTo }) => upTo > floor)
    const gone = this.#blocks.splice(0, kept < 0 ? this.#blocks.length : kept)
    this.#bytes -= gone.reduce((sum, { bytes }) => sum + bytes, 0)
    this.#floor = floor
    const [first] = this.#blocks
    if (!first) return
    const bytes = this.#database.size(floor, first.upTo)
    this.#bytes += bytes - first.bytes
    this.#blocks[0] = { upTo: first.upTo, bytes }
  }
}

import type { Json } from '../../protocol/change.ts'
import type { Stored } from '../../protocol/log.ts'
import type { Predicate } from '../../protocol/predicate.ts'
import type { Candidates, PageBuilder } from '../list.ts'
import { pieceSize } from '../snapshot.ts'
import type { ListQuery } from '../store.ts'
import { type Records, Walk } from './records.ts'

/** A record with its text. */
export interface Kept extends Stored { readonly record: Json }

const windowTime = 5 // milliseconds
const windowBytes = 1_048_576 // of records of which fields are picked
const checkedRecords = 64 // between two looks at the clock

/** The records that a list looks through. They are shared from the end of the first window on, if that is not the last. */
export class Search implements Candidates {
  readonly position: number
  readonly #records: Records<Kept>
  readonly #walk: Walk<Kept>
  readonly #byId: boolean
  readonly #bounds: Bounds
  readonly #assertOpen: () => void
  #windows = 0

  constructor (records: Records<Kept>, { where, sort, after, fields = null }: ListQuery, position: number, assertOpen: () => void) {
    assertOpen()
    this.position = position
    this.#records = records
    this.#assertOpen = assertOpen
    this.#byId = sort.length === 0
    this.#walk = new Walk(records.chunks, this.#byId ? after?.id : undefined)
    const simple = this.#byId && where === null // the page itself is the window
    this.#bounds = simple ? { time: Infinity, bytes: fields === null ? Infinity : windowBytes } : { time: windowTime, bytes: Infinity }
  }

  get done (): boolean {
    return this.#walk.done
  }

  next (page: PageBuilder): void {
    this.#assertOpen()
    for (const kept of window(this.#walk, this.#bounds)) {
      page.offer(kept, kept.record)
      if (this.#byId && page.end !== null) return
    }
    if (this.done) this.#walk.end() // what is written from here on is no more to be read
    else if (this.#windows++ === 0) this.#records.share()
  }

  close (): void {
    this.#walk.end()
  }
}

/** What a window ends at. */
interface Bounds { readonly time: number, readonly bytes: number }

/** The next records, as many as there may be in one window, though one at least. */
function * window (walk: Walk<Kept>, { time, bytes }: Bounds): Generator<Kept, void> {
  const deadline = performance.now() + time
  for (let [count, size] = [1, 0]; size < bytes && (count % checkedRecords !== 0 || performance.now() < deadline); count++) {
    const kept = walk.next()
    if (kept === null) return
    size += kept.json.length
    yield kept
  }
}

/** The records of the next window that match, as far as they fit into a piece of a snapshot. */
export function nextPiece (walk: Walk<Kept>, matches: Predicate | null): Kept[] {
  const piece: Kept[] = []
  let size = 0
  for (const kept of window(walk, { time: windowTime, bytes: Infinity })) {
    if (matches?.(kept.record) === false) continue
    piece.push(kept)
    size += Buffer.byteLength(kept.json)
    if (size >= pieceSize) break
  }
  return piece
}

import { type Filter, fieldsKey } from '../protocol/filter.ts'
import type { Snapshot, Stored } from '../protocol/log.ts'
import { compile } from '../protocol/predicate.ts'
import type { Connection } from './connection.ts'
import type { Cursors, Reader } from './reader.ts'
import { recordText, toldByFilter } from './told.ts'

/** Runs long reads of the log and of records, and what clients ask for, in turn, a bit at a time. */
export interface Reads {
  /** Calls `work` when its turn comes, and gives what it returns. */
  run<T> (lane: 'stream' | 'message', work: () => T): Promise<Awaited<T>>
}

/** The bytes of some of the records. */
type Encode = (piece: readonly Stored[]) => Buffer[]

const messageSize = 65_536 // characters of records in one message, about

/** Records of one position on their way to one subscriber, piece by piece: a whole view, or the difference between two. */
export class Transfer {
  readonly content: 'view' | 'difference'
  readonly #snapshot: Snapshot
  readonly #encode: Encode
  /** The rest of the present piece, encoded. */
  #messages: Buffer[] = []
  #closed = false

  private constructor (content: 'view' | 'difference', snapshot: Snapshot, encode: Encode) {
    this.content = content
    this.#snapshot = snapshot
    this.#encode = encode
  }

  /** The records that match a filter, as `snapshot` messages. */
  static ofView (snapshot: Snapshot, reader: Reader, { fields }: Filter): Transfer {
    return new Transfer('view', snapshot, piece => inGroups(piece.map(stored => recordText(stored, fields)), text => text.length).map(texts => reader.records(texts)))
  }

  /** What another filter makes of a view: `leave` for what is no longer in it, `save` for what has come in or looks different now. */
  static ofDifference (snapshot: Snapshot, reader: Reader, before: Filter, after: Filter, log: Cursors): Transfer {
    const { position } = snapshot
    const at = new Date().toISOString()
    const wasIn = compile(before.where)
    const isIn = compile(after.where)
    const redrawn = fieldsKey(before.fields) !== fieldsKey(after.fields)
    const encodeOne = (stored: Stored): Buffer[] => {
      const record: unknown = JSON.parse(stored.json)
      const was = wasIn(record)
      const is = isIn(record)
      if (is && (!was || redrawn) && after.kinds !== 'deletes') return [reader.encode(toldByFilter(stored, 'save', position, at, after.fields), log)]
      if (was && !is && after.kinds !== 'saves') return [reader.encode(toldByFilter(stored, 'leave', position, at, null), log)]
      return []
    }
    return new Transfer('difference', snapshot, piece => inGroups(piece.flatMap(encodeOne), bytes => bytes.length).map(group => reader.joinForOne(group.map(bytes => ({ position, bytes })), log)))
  }

  /** Writes what the connection takes of the present piece; says whether that was all of it. */
  write (connection: Connection): boolean {
    while (this.#messages.length > 0 && !connection.blocked) connection.write(this.#messages.shift() as Buffer)
    return this.#messages.length === 0
  }

  /** Reads the next piece, to be given to `take`; `null` where all have been read. */
  async next (reads: Reads): Promise<readonly Stored[] | null> {
    return await reads.run('stream', async () => this.#closed ? null : await this.#snapshot.next())
  }

  take (piece: readonly Stored[]): void {
    this.#messages = this.#encode(piece)
  }

  close (): void {
    this.#closed = true
    this.#messages = []
    this.#snapshot.close()
  }
}

/** `items` in groups of about `messageSize`. */
export function inGroups<T> (items: readonly T[], sizeOf: (item: T) => number): T[][] {
  const groups: T[][] = []
  let size = Infinity
  for (const item of items) {
    if (size >= messageSize) {
      groups.push([])
      size = 0
    }
    groups.at(-1)?.push(item)
    size += sizeOf(item)
  }
  return groups
}

import { type Filter, fieldsKey } from '../protocol/filter.ts'
import type { Snapshot, Stored } from '../protocol/log.ts'
import { compile } from '../protocol/predicate.ts'
import { type Where, whereKey } from '../protocol/where.ts'
import type { Cursors, Reader } from './reader.ts'
import { recordText, toldByFilter } from './told.ts'

/** Records of one position on their way to one subscriber. */
export interface Piecework {
  readonly snapshot: Snapshot
  /** Whether it is a whole view, rather than the difference between two. */
  readonly isView: boolean
  /** The bytes of some of the records. */
  encode (piece: readonly Stored[]): Buffer[]
  /** All have been sent. */
  finish (): void
}

const messageSize = 65_536 // characters of records in one message, about

/** The records that match a filter, as `snapshot` messages. */
export function recordsOf (snapshot: Snapshot, reader: Reader, { fields }: Filter): Piecework {
  return {
    snapshot,
    isView: true,
    finish: () => {},
    encode: piece => inGroups(piece.map(stored => recordText(stored, fields)), text => text.length).map(texts => reader.records(texts))
  }
}

/** What another filter makes of a view: `leave` for what is no longer in it, `save` for what has come in or looks different now. */
export function differenceOf (snapshot: Snapshot, reader: Reader, before: Filter, after: Filter, log: Cursors, finish: () => void): Piecework {
  const { position } = snapshot
  const at = new Date().toISOString()
  const wasIn = compile(before.where)
  const isIn = compile(after.where)
  const redrawn = !sameFields(before, after)
  const encodeOne = (stored: Stored): Buffer[] => {
    const record: unknown = JSON.parse(stored.json)
    const was = wasIn(record)
    const is = isIn(record)
    if (is && (!was || redrawn) && after.kinds !== 'deletes') return [reader.encode(toldByFilter(stored, 'save', position, at, after.fields), log)]
    if (was && !is && after.kinds !== 'saves') return [reader.encode(toldByFilter(stored, 'leave', position, at, null), log)]
    return []
  }
  return {
    snapshot,
    isView: false,
    finish,
    encode: piece => inGroups(piece.flatMap(encodeOne), bytes => bytes.length).map(group => reader.joinForOne(group.map(bytes => ({ position, bytes })), log))
  }
}

/** Whether one filter's view is another than the other's. */
export function differ (one: Filter, other: Filter): boolean {
  return whereKey(one.where) !== whereKey(other.where) || !sameFields(one, other)
}

/** What matches one of the two. */
export function either (one: Filter, other: Filter): Where | null {
  return one.where && other.where && { kind: 'or', of: [one.where, other.where] }
}

function sameFields (one: Filter, other: Filter): boolean {
  return fieldsKey(one.fields) === fieldsKey(other.fields)
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

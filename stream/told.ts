import type { Json, LogEntry } from '../protocol/change.ts'
import { pick } from '../protocol/fields.ts'
import type { Stored } from '../protocol/log.ts'
import type { Op } from './filter.ts'

/** A change as a subscriber is told of it, before a reader encodes it (contract §3.2). */
export interface Told {
  readonly op: Op
  readonly id: string
  readonly position: number
  /** RFC 3339 with milliseconds. */
  readonly at: string
  readonly version: string
  /** The record as JSON text, `fields` applied; empty where the op has none. */
  readonly record: string
  /** Why a record is no longer in view. */
  readonly reason: 'changed' | 'filter'
}

export function toldOf (entry: LogEntry, op: Op, fields: readonly string[] | null): Told {
  const record = op !== 'save' || entry.json === null ? '' : fields === null ? entry.json : JSON.stringify(pick(entry.record as Json, fields))
  return { op, id: entry.id, position: entry.position, at: entry.at, version: entry.version, record, reason: 'changed' }
}

/** A record that comes into view, or leaves it, because the filter has changed at `position`. */
export function toldByFilter (stored: Stored, op: 'save' | 'leave', position: number, at: string, fields: readonly string[] | null): Told {
  const record = op === 'leave' ? '' : recordText(stored, fields)
  return { op, id: stored.id, position, at, version: stored.version, record, reason: 'filter' }
}

export function recordText ({ json }: Stored, fields: readonly string[] | null): string {
  return fields === null ? json : JSON.stringify(pick(JSON.parse(json) as Json, fields))
}

/** `ChangeMessage` as text. */
export function toldJson ({ op, id, position, at, version, record, reason }: Told): string {
  const start = `{"op":"${op}","id":"${id}","position":${position},"at":"${at}"`
  if (op === 'save') return `${start},"version":"${version}","record":${record}}`
  return op === 'leave' ? `${start},"reason":"${reason}"}` : `${start}}`
}

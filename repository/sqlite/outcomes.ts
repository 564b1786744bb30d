import type { LogEntry } from '../../protocol/change.ts'
import { ChangeStreamError } from '../../protocol/errors.ts'
import type { Outcome } from '../store.ts'
import type { RecordChange } from './database.ts'

/** What a mutation has done: `json` is `undefined` where it left the record as it was. */
export interface Applied extends Omit<RecordChange, 'json'> { readonly json: string | null | undefined }

/** Finds each mutation's entry; they stand in the same order, among those of triggers that the file may have besides ours. */
export function outcomeReader (entries: readonly LogEntry[], start: number): (applied: Applied) => Outcome {
  const last = entries.at(-1)?.position ?? start
  let next = 0
  return ({ id, before, json }) => {
    if (json === undefined) return { before, after: before, position: last }
    while (next < entries.length && entries[next]?.id !== id) next++
    const entry = entries[next++]
    if (!entry) throw new ChangeStreamError('unavailable', `the log has no entry for what was done to ${id}: are its triggers there?`)
    return { before, after: json === null ? null : { id, version: entry.version, json }, position: entry.position }
  }
}

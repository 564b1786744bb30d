import type { LogEntry } from '../protocol/change.ts'
import type { Filter } from '../protocol/filter.ts'
import { compile } from '../protocol/predicate.ts'

/** What a subscriber is told of a change. */
export type Op = 'save' | 'delete' | 'leave'

/** Tells what a filter makes of a change, or `null` where it is not told at all. */
export type Judge = (entry: LogEntry) => Op | null

/** Compiles the table of contract §4, "what a subscriber with a `where` is told". */
export function judgeOf ({ kinds, where }: Filter): Judge {
  const saves = kinds !== 'deletes'
  const deletes = kinds !== 'saves'
  if (where === null) return entry => entry.json !== null ? (saves ? 'save' : null) : (deletes && entry.beforeJson !== null ? 'delete' : null)
  const matches = compile(where)
  return entry => {
    if (entry.json !== null && matches(entry.record)) return saves ? 'save' : null
    if (!deletes || entry.beforeJson === null || !matches(entry.before)) return null
    return entry.json === null ? 'delete' : 'leave'
  }
}

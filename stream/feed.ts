import { setImmediate as turn } from 'node:timers/promises'
import { ChangeStreamError } from '../protocol/errors.ts'
import type { Filter } from '../protocol/filter.ts'
import type { FilterClass, Member } from './filter-class.ts'
import type { Hub } from './hub.ts'
import { jsonReader } from './reader.ts'

const reader = jsonReader()

export interface FeedRequest {
  readonly filter: Filter
  /** Starts behind this position. */
  readonly position: number
  /** The most changes in the page. */
  readonly limit: number
  /** How long to hold an empty page until something matches, milliseconds. */
  readonly wait: number
  /** Ends the waiting; the closing of the hub does too. */
  readonly signal: AbortSignal
}

/**
 * One page of the log (contract §3.4), as JSON text.
 * @throws {ChangeStreamError} `gone`
 */
export async function readFeed (hub: Hub, { filter, position, limit, wait, signal }: FeedRequest): Promise<string> {
  const { epoch } = hub.log
  const assertSame = (): void => {
    if (hub.log.epoch !== epoch) throw new ChangeStreamError('gone', 'the log has been replaced by another')
  }
  const filterClass = hub.classOf(filter, reader)
  const deadline = performance.now() + wait
  const told: Buffer[] = []
  try {
    for (;;) {
      while (position < hub.position && told.length < limit) {
        const changes = await hub.read(position)
        assertSame()
        for (const change of changes) {
          if (change.position > hub.position || told.length >= limit) break
          position = change.position
          const fragment = filterClass.fragment(change)
          if (fragment) told.push(fragment.bytes)
        }
        await turn()
        assertSame()
      }
      const left = deadline - performance.now()
      if (told.length > 0 || left <= 0 || signal.aborted || hub.closing.aborted) break
      await news(filterClass, position, left, [signal, hub.closing])
      assertSame()
    }
  } finally {
    hub.release(filterClass)
  }
  return `{"changes":[${told.join()}],"cursor":"${hub.cursor(position)}","more":${position < hub.position}}`
}

/** Resolves when the class is told of a change, when `time` milliseconds are over, or when one of `signals` says so. */
async function news (filterClass: FilterClass, position: number, time: number, signals: readonly AbortSignal[]): Promise<void> {
  await new Promise<void>(resolve => {
    const member: Member = { position, place: 0, deliver: () => end() }
    const leave = (): void => {
      filterClass.remove(member)
      end()
    }
    const end = (): false => {
      clearTimeout(timer)
      for (const signal of signals) signal.removeEventListener('abort', leave)
      resolve()
      return false // it is no longer a member
    }
    const timer = setTimeout(leave, time)
    for (const signal of signals) signal.addEventListener('abort', leave)
    filterClass.add(member)
  })
}

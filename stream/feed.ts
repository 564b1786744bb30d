import { setImmediate as nextTick } from 'node:timers/promises'
import { ChangeStreamError } from '../protocol/errors.ts'
import type { Filter } from '../protocol/filter.ts'
import type { EncodedChange } from './encoded.ts'
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
 * One page of the log (contract §3.4), as JSON text. It ends at `limit` or where it holds `maxPage` bytes.
 * @throws {ChangeStreamError} `gone`
 */
export async function readFeed (hub: Hub, { filter, position, limit, wait, signal }: FeedRequest): Promise<string> {
  const { epoch } = hub.log
  const { maxPage } = hub.settings
  const filterClass = hub.classOf(filter, reader)
  const deadline = performance.now() + wait
  const told: Buffer[] = []
  let size = 0
  const isFull = (): boolean => told.length >= limit || size >= maxPage
  const tell = (changes: readonly EncodedChange[]): void => {
    assertSame(hub, epoch)
    for (const change of changes) {
      if (change.position > hub.position || isFull()) return
      const fragment = filterClass.fragment(change)
      const bytes = fragment?.bytes.length ?? 0
      if (told.length > 0 && size + bytes > maxPage) {
        size = maxPage
        return
      }
      position = change.position
      if (!fragment) continue
      told.push(fragment.bytes)
      size += bytes
    }
  }
  try {
    for (;;) {
      while (position < hub.position && !isFull() && !signal.aborted) {
        const changes = await hub.reads.run('stream', () => hub.read(position))
        await hub.reads.run('stream', () => tell(changes))
        await nextTick() // who comes with others gives way to other work
        assertSame(hub, epoch)
      }
      const left = deadline - performance.now()
      if (told.length > 0 || left <= 0 || signal.aborted || hub.closing.aborted) break
      if (hub.matched < position) await nextTick() // its class has yet to be offered what has been read
      else await waitForChange(filterClass, position, left, [signal, hub.closing])
      assertSame(hub, epoch)
    }
  } finally {
    hub.release(filterClass)
  }
  return `{"changes":[${told.join()}],"cursor":"${hub.cursor(position)}","more":${position < hub.position}}`
}

function assertSame (hub: Hub, epoch: string): void {
  if (hub.log.epoch !== epoch) throw new ChangeStreamError('gone', 'the log has been replaced by another')
}

/**
 * Resolves when the class is told of a change, when `time` milliseconds are over, or when one of `signals` says so; rejects
 * where the class can't be told.
 */
async function waitForChange (filterClass: FilterClass, position: number, time: number, signals: readonly AbortSignal[]): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const leave = (): void => {
      filterClass.remove(member)
      end()
    }
    const end = (): false => {
      clearTimeout(timer)
      for (const signal of signals) leavers.get(signal)?.delete(leave)
      resolve()
      return false // it is no longer a member
    }
    const member: Member = {
      position,
      place: 0,
      deliver: () => end(),
      fault (error) {
        reject(error)
        leave()
      }
    }
    const timer = setTimeout(leave, time)
    for (const signal of signals) leaversOf(signal).add(leave)
    filterClass.add(member)
  })
}

/** Who leaves when a signal says so. All that wait share one listener: a signal warns of many, and finds one among them by looking through all. */
const leavers = new WeakMap<AbortSignal, Set<() => void>>()

function leaversOf (signal: AbortSignal): Set<() => void> {
  const known = leavers.get(signal)
  if (known) return known
  const waiting = new Set<() => void>()
  leavers.set(signal, waiting)
  signal.addEventListener('abort', () => { for (const leave of waiting) leave() }, { once: true })
  return waiting
}

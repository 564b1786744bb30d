import { setTimeout as delay } from 'node:timers/promises'
import { clock, stampMark, stampedNumber, stampedTime } from './clock.ts'
import { FrameCounter, FrameSplitter } from './frames.ts'
import { type Percentiles, Samples } from './samples.ts'
import { type Address, Subscriber } from './subscriber.ts'

export interface Opening extends Address {
  /** How many there shall be; `%i` in the path stands for a subscriber's number. */
  readonly count: number
  /** Every how manieth one has its frames read: their latency, and that each change comes once. The others' are counted. */
  readonly sampleEvery: number
  /** Connections being opened at a time. */
  readonly concurrency?: number
}

/** The numbered requests that were answered, of which subscriber i must get those with `number % filters === i`. */
export interface Expected {
  readonly from: number
  readonly to: number
  readonly filters?: number
  /** Only these subscribers, by number: from the first up to but not including the second; all by default. */
  readonly among?: readonly [number, number]
}

export interface Received {
  readonly deliveries: number
  /** Deliveries that did not come within the time, or came twice. */
  readonly wrong: number
  readonly bytes: number
  /** When all had come, by `clock`. */
  readonly at: number
  readonly latency: Percentiles
  /** Share of one processor that this side used since `start`. */
  readonly cpuShare: number
}

const patience = 10_000 // milliseconds without any progress

const samples = new Samples()
const sums = new Map<Subscriber, number>()
let subscribers: Subscriber[] = []
let started = { at: clock(), cpu: process.cpuUsage(), bytes: 0 }

function reading (): { frames: FrameSplitter, bind (subscriber: Subscriber): void } {
  let self: Subscriber | undefined
  const frames = new FrameSplitter((bytes, begin, end) => {
    const mark = bytes.indexOf(stampMark, begin, 'latin1')
    if (mark < 0 || mark >= end) return 1
    samples.add(clock() - stampedTime(bytes, mark))
    if (self) sums.set(self, (sums.get(self) ?? 0) + stampedNumber(bytes, mark))
    return 1
  })
  return { frames, bind: subscriber => { self = subscriber } }
}

function subscriber (index: number, opening: Opening): Subscriber {
  const address = { ...opening, path: opening.path.replace('%i', String(index)) }
  if (index % opening.sampleEvery !== 0) return new Subscriber(index, address, new FrameCounter())
  const { frames, bind } = reading()
  const sampled = new Subscriber(index, address, frames)
  bind(sampled)
  return sampled
}

/** Opens more subscribers, or closes some, until there are `count`. */
export async function open (opening: Opening): Promise<{ milliseconds: number }> {
  const begun = clock()
  let next = subscribers.length
  const opener = async (): Promise<void> => {
    while (next < opening.count) {
      const opened = subscribers[next] = subscriber(next++, opening)
      await opened.open(opening)
    }
  }
  await Promise.all(Array.from({ length: opening.concurrency ?? 100 }, opener))
  return { milliseconds: (clock() - begun) / 1000 }
}

/** Closes the last ones, until there are `count`. */
export async function close ({ count }: { count: number }): Promise<void> {
  for (const gone of subscribers.slice(count)) {
    gone.close()
    sums.delete(gone)
  }
  subscribers = subscribers.slice(0, count)
}

/** What comes from now on is measured. Call it when nothing is under way. */
export async function start (): Promise<void> {
  for (const each of subscribers) each.before = each.frames.count
  samples.clear()
  sums.clear()
  started = { at: clock(), cpu: process.cpuUsage(), bytes: bytesRead() }
}

/** Resolves once every subscriber has what it must get, or when nothing has come for a while. */
export async function settle (expected: Expected): Promise<Received> {
  const wanted = subscribers.slice(...expected.among ?? [])
  const counts = wanted.map((_, index) => expectedCount(expected, index))
  const total = counts.reduce((sum, count) => sum + count, 0)
  let before = -1
  let progress = clock()
  for (;;) {
    const counted = wanted.reduce((sum, each) => sum + each.counted, 0)
    const now = clock()
    if (counted >= total || now - progress > patience * 1000 || wanted.some(each => each.ended)) break
    if (counted !== before) progress = now
    before = counted
    await delay(2)
  }
  const at = clock()
  const cpuShare = share()
  await delay(50) // for what comes twice
  const wrong = wanted.reduce((sum, each, index) => sum + wrongOf(each, counts[index] as number, expected, index), 0)
  return { deliveries: wanted.reduce((sum, each) => sum + each.counted, 0), wrong, bytes: bytesRead() - started.bytes, at, latency: samples.percentiles(), cpuShare }
}

/** Deliveries since `start`, whatever was expected. */
export async function received (): Promise<{ deliveries: number, bytes: number, at: number, cpuShare: number }> {
  return { deliveries: subscribers.reduce((sum, each) => sum + each.counted, 0), bytes: bytesRead() - started.bytes, at: clock(), cpuShare: share() }
}

/** The last `count` stop reading, or read again. */
export async function pause ({ count, paused }: { count: number, paused: boolean }): Promise<void> {
  for (const each of subscribers.slice(-count)) paused ? each.pause() : each.resume()
}

function share (): number {
  const { user, system } = process.cpuUsage(started.cpu)
  return (user + system) / (clock() - started.at)
}

function bytesRead (): number {
  return subscribers.reduce((sum, each) => sum + each.bytes, 0)
}

function expectedCount ({ from, to, filters = 1 }: Expected, index: number): number {
  const own = filters === 1 ? 0 : index % filters
  const upTo = (end: number): number => Math.floor((end - own + filters - 1) / filters)
  return upTo(to) - upTo(from)
}

function wrongOf (each: Subscriber, count: number, { from, to, filters = 1 }: Expected, index: number): number {
  const wrong = Math.abs(each.counted - count) + (each.ended ? 1 : 0)
  if (wrong > 0 || !(each.frames instanceof FrameSplitter)) return wrong
  let sum = 0
  for (let number = from; number < to; number++) if (filters === 1 || number % filters === index % filters) sum += number
  return sum === (sums.get(each) ?? 0) ? 0 : 1
}

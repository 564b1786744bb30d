import { clock, stampMark } from './clock.ts'
import { FrameSplitter } from './frames.ts'
import { type Address, Subscriber } from './subscriber.ts'

export interface StreamRead {
  readonly milliseconds: number
  /** Changes, or records of a snapshot. */
  readonly items: number
  readonly bytes: number
  readonly cursor: string
}

const synced = '"type":"synced"'
const subprotocol = 'change-stream.v1'

/** Counts the records in the frames of a JSON stream, until it says that it is complete. */
class StreamReader {
  readonly frames = new FrameSplitter((bytes, begin, end) => {
    let items = 0
    for (let mark = bytes.indexOf(stampMark, begin, 'latin1'); mark >= 0 && mark < end; mark = bytes.indexOf(stampMark, mark + 20, 'latin1')) items++
    if (items === 0 && this.cursor === '' && bytes.toString('latin1', begin, Math.min(end, begin + 100)).includes(synced)) {
      this.cursor = (JSON.parse(bytes.toString('latin1', begin, end)) as { cursor: string }).cursor
    }
    return items
  })

  readonly subscriber: Subscriber
  cursor = ''

  constructor (index: number, address: Address) {
    this.subscriber = new Subscriber(index, { ...address, protocol: subprotocol }, this.frames)
  }

  async read (): Promise<void> {
    await this.subscriber.until(() => this.cursor !== '')
  }
}

/** Reads a stream up to its live end, with one subscriber. */
export async function read (address: Address): Promise<StreamRead> {
  const begun = clock()
  const reader = new StreamReader(0, address)
  await reader.read()
  const milliseconds = (clock() - begun) / 1000
  reader.subscriber.close()
  return { milliseconds, items: reader.frames.count, bytes: reader.subscriber.bytes, cursor: reader.cursor }
}

let crowd: StreamReader[] = []

/** Opens many, with at most `concurrency` handshakes at a time, and waits until each is at the live end. */
export async function gather ({ count, items, concurrency, ...address }: Address & { count: number, items: number, concurrency: number }): Promise<{ milliseconds: number, slowest: number, wrong: number, cpuShare: number }> {
  const begun = clock()
  const cpu = process.cpuUsage()
  const durations: number[] = []
  const live: Promise<void>[] = []
  let next = 0
  const opener = async (): Promise<void> => {
    while (next < count) {
      const asked = clock()
      const reader = new StreamReader(next++, address)
      crowd.push(reader)
      await reader.subscriber.open({ ...address })
      live.push(reader.read().then(() => { durations.push(clock() - asked) }))
    }
  }
  await Promise.all(Array.from({ length: concurrency }, opener))
  await Promise.all(live)
  const took = clock() - begun
  const { user, system } = process.cpuUsage(cpu)
  const wrong = crowd.reduce((sum, reader) => sum + Math.abs(reader.frames.count - items), 0)
  return { milliseconds: took / 1000, slowest: durations.reduce((most, each) => Math.max(most, each), 0) / 1000, wrong, cpuShare: (user + system) / took }
}

/** Drops all that were gathered. */
export async function scatter (): Promise<void> {
  for (const reader of crowd) reader.subscriber.close()
  crowd = []
}

/** Takes `bytes` bytes from a server that sends nothing but bytes. */
export async function drain ({ bytes, ...address }: Address & { bytes: number }): Promise<{ milliseconds: number }> {
  const begun = clock()
  const subscriber = new Subscriber(0, address)
  await subscriber.until(() => subscriber.bytes >= bytes)
  subscriber.close()
  return { milliseconds: (clock() - begun) / 1000 }
}

import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type PeerName, peers } from '../runner/peers.ts'
import type { Server } from '../runner/server.ts'
import { figure } from '../runner/statistics.ts'
import { type Context, type Suite, chosen, updatesOf, withServer } from '../runner/suite.ts'
import { table } from '../runner/table.ts'

interface Phase { readonly p50: number, readonly p99: number, readonly growth: number }

interface Row { readonly name: string, readonly without: Phase, readonly withSlow: Phase, readonly lost: number }

interface Result extends Shape { readonly rows: readonly Row[] }

interface Shape {
  readonly subscribers: number
  /** POSTs a second. */
  readonly rate: number
  /** How long those read alone, and how long beside the slow. */
  readonly secondsWithout: number
  readonly seconds: number
  /** Whether records and log are in SQLite: in memory they grow with what is written. */
  readonly durable: boolean
}

const padding = 65_536
const slow = 10

/** Bare sockets answer no pings, and stopped ones could not. */
const heartbeat = String(3_600_000)

/** Beside the peers, for as long as they can stand it. */
const beside: Shape = { subscribers: 200, rate: 25, secondsWithout: 6, seconds: 6, durable: false }
/** This project alone: 200 MB for each reader. */
const long: Shape = { subscribers: 1000, rate: 12, secondsWithout: 60, seconds: 255, durable: true }
const quickly: Shape = { subscribers: 100, rate: 25, secondsWithout: 3, seconds: 3, durable: false }

async function run (names: readonly PeerName[], shape: Shape, context: Context): Promise<Result> {
  const env = { HEARTBEAT: heartbeat, ...shape.durable && { DATABASE: join(context.folder, 'slow.db') } }
  const rows: Row[] = []
  for (const name of chosen(names, context)) {
    context.progress(`slow-readers: ${peers[name].name}`)
    rows.push(await withServer(peers[name].command, env, server => measure(name, server, shape, context)))
    await context.readers.call('close', { count: 0 })
  }
  return { rows, ...shape }
}

async function measure (name: PeerName, server: Server, { subscribers, rate, secondsWithout, seconds }: Shape, { readers, posters, fault }: Context): Promise<Row> {
  const { port } = server
  const reading = subscribers - slow
  const work = { port, connections: 4, rate, padding }
  const open = (count: number): Promise<unknown> => readers.call('open', { port, ...updatesOf(peers[name]), count, sampleEvery: 10 })
  const phase = async (seconds: number): Promise<{ phase: Phase, from: number, to: number }> => {
    await delay(500)
    await readers.call('start')
    const { result, memory } = await server.during(async () => {
      const written = await posters.call('post', { ...work, seconds })
      return { written, received: await readers.call('settle', { ...written, among: [0, reading] }) }
    })
    const { written: { from, to }, received: { latency, wrong } } = result
    if (wrong > 0) fault(`${name}: ${wrong} deliveries to those who read were lost or doubled`)
    return { phase: { p50: latency.p50, p99: latency.p99, growth: memory / 1e6 }, from, to }
  }
  await open(reading)
  await phase(2) // for what grows once
  const without = await phase(secondsWithout)
  await open(subscribers)
  await readers.call('pause', { count: slow, paused: true })
  const withSlow = await phase(seconds)
  await readers.call('pause', { count: slow, paused: false })
  const caughtUp = await readers.call('settle', { from: withSlow.from, to: withSlow.to, among: [reading, subscribers] })
  if (caughtUp.wrong > 0 && name === 'ours') fault(`${caughtUp.wrong} deliveries to slow readers were lost or doubled`)
  return { name: peers[name].name, without: without.phase, withSlow: withSlow.phase, lost: caughtUp.wrong }
}

function render ({ rows, subscribers, rate, secondsWithout, seconds, durable }: Result): string {
  const megabytes = padding * rate * seconds / 1e6
  return `${figure(subscribers - slow)} subscribers; ${figure(rate)} POSTs a second of ${figure(padding / 1024)} KiB: first for ${secondsWithout} s with those alone, then for ${seconds} s, which is ${figure(megabytes)} MB for each, with ${slow} more that stop reading once they are connected. Afterwards those read on. One round, after one that is not counted; ${durable ? 'with the durable SQLite store' : 'in memory, which grows with what is written'}.

${table(['Server', 'p50 without, ms', 'p50 with, ms', 'p99 without, ms', 'p99 with, ms', 'memory grew by without, MB', 'with, MB', 'lost to the slow'], rows.map(({ name, without, withSlow, lost }) => [
    name, figure(without.p50), figure(withSlow.p50), figure(without.p99), figure(withSlow.p99), figure(without.growth), figure(withSlow.growth), String(lost)
  ]))}

Up to ${figure(megabytes * slow)} MB wait for the slow; of that the kernel takes the first part, the server's memory the rest, unless the server reads it again from a log. What bounds it: copying the bytes into the sockets.`
}

export const slowReaders: Suite<Result> = {
  title: 'Slow readers',
  run: context => context.quick ? run(['ours', 'ws'], quickly, context) : run(['ours', 'tutorial', 'ws', 'socketio', 'feathers', 'bun'], beside, context),
  render
}

export const slowReadersLong: Suite<Result> = { title: 'Slow readers, 1,000 for long', run: context => run(['ours'], context.quick ? { ...quickly, durable: true } : long, context), render }

import { setTimeout as delay } from 'node:timers/promises'
import { chart } from '../runner/chart.ts'
import { type PeerName, peers } from '../runner/peers.ts'
import type { Server } from '../runner/server.ts'
import { figure, spread, spreadText } from '../runner/statistics.ts'
import { type Context, type Suite, chosen, rotated, updatesOf, withServer } from '../runner/suite.ts'
import { table } from '../runner/table.ts'
import { type Ceiling, measureCeiling, renderCeiling } from './ceiling.ts'

/** One peer, one number of subscribers; a value for each round. */
interface Flat {
  readonly perSecond: number[]
  readonly posts: number[]
  readonly p50: number[]
  readonly p99: number[]
  /** Microseconds of the server's processor a delivery. */
  readonly cpu: number[]
  readonly readerShare: number[]
  readonly wrong: number[]
}

interface Paced { readonly p50: number[], readonly p99: number[], readonly restP50: number[], readonly restP99: number[], readonly behind: number[] }

interface PeerResult {
  readonly name: string
  readonly flat: Record<number, Flat>
  readonly paced: Record<number, Paced>
  /** Kilobytes a connection that nothing is sent to. */
  readonly idle: number[]
  readonly restAloneP50: number[]
  readonly restAloneP99: number[]
}

interface Result { readonly sizes: readonly number[], readonly rounds: number, readonly seconds: number, readonly peers: readonly PeerResult[], readonly ceilings: readonly Ceiling[] }

const connections = 8
/** Deliveries a second at the set pace, and requests beside them. */
const pace = 50_000
const pacedSeconds = 2
const restRate = 200
const sampleEvery = 10

async function run (context: Context): Promise<Result> {
  const { quick, progress } = context
  const sizes = quick ? [100, 1000] : [100, 1000, 5000, 10_000]
  const rounds = quick ? 1 : 3
  const seconds = quick ? 1 : 1.5
  const names = chosen(['ours', 'tutorial', 'ws', 'socketio', 'feathers', 'bun'], context)
  const results = new Map(names.map(name => [name, emptyResult(peers[name].name, sizes)]))
  const ceilings = await measureCeiling(context)
  for (let round = 0; round < rounds; round++) {
    for (const name of rotated(names, round)) {
      progress(`fanout: round ${round + 1} of ${rounds}, ${peers[name].name}`)
      await withServer(peers[name].command, {}, server => measure(name, server, results.get(name) as PeerResult, { sizes, seconds }, context))
      await context.readers.call('close', { count: 0 })
    }
  }
  return { sizes, rounds, seconds, peers: [...results.values()], ceilings }
}

function emptyResult (name: string, sizes: readonly number[]): PeerResult {
  return {
    name,
    flat: Object.fromEntries(sizes.map(size => [size, { perSecond: [], posts: [], p50: [], p99: [], cpu: [], readerShare: [], wrong: [] }])),
    paced: Object.fromEntries(pacedSizes(sizes).map(size => [size, { p50: [], p99: [], restP50: [], restP99: [], behind: [] }])),
    idle: [],
    restAloneP50: [],
    restAloneP99: []
  }
}

function pacedSizes (sizes: readonly number[]): number[] {
  return sizes.filter(size => size === 1000 || size === 10_000)
}

/** From the largest number of subscribers down, so that the memory of idle ones is seen before any traffic. */
async function measure (name: PeerName, server: Server, result: PeerResult, { sizes, seconds }: { sizes: readonly number[], seconds: number }, context: Context): Promise<void> {
  const { readers, posters } = context
  const { port } = server
  const largest = Math.max(...sizes)
  await posters.call('post', { port, connections, seconds: 0.5 })
  await delay(500)
  const rest = await posters.call('get', { port, connections, seconds, rate: restRate })
  result.restAloneP50.push(rest.latency.p50)
  result.restAloneP99.push(rest.latency.p99)
  const connect = async (count: number): Promise<void> => {
    await readers.call('open', { port, ...updatesOf(peers[name]), count, sampleEvery })
    await delay(1000)
  }
  await connect(largest / 10) // these fill what the heap has free
  const { memory } = await server.during(() => connect(largest))
  result.idle.push(memory / (largest * 0.9) / 1000)
  await readers.call('start')
  await readers.call('settle', await posters.call('post', { port, connections: 1, seconds: 0, total: 5 }))
  for (const size of [...sizes].sort((one, other) => other - one)) {
    await readers.call('close', { count: size })
    await delay(300)
    const paced = result.paced[size]
    if (paced) await measurePaced(server, size, paced, `${result.name}, ${size} subscribers`, context)
    await measureFlat(server, result.flat[size] as Flat, `${result.name}, ${size} subscribers`, seconds, context)
  }
}

async function measurePaced (server: Server, size: number, paced: Paced, what: string, { readers, posters, fault }: Context): Promise<void> {
  const { port } = server
  await readers.call('start')
  const [written, read] = await Promise.all([
    posters.call('post', { port, connections, seconds: pacedSeconds, rate: pace / size }),
    posters.call('get', { port, connections, seconds: pacedSeconds, rate: restRate })
  ])
  const received = await readers.call('settle', { from: Math.min(written.from, read.from), to: Math.max(written.to, read.to) })
  if (received.wrong > 0) fault(`${what} at a set pace: ${received.wrong} deliveries lost or doubled`)
  paced.p50.push(received.latency.p50)
  paced.p99.push(received.latency.p99)
  paced.restP50.push(read.latency.p50)
  paced.restP99.push(read.latency.p99)
  paced.behind.push((received.at - written.startedAt) / 1e6 / pacedSeconds)
}

async function measureFlat (server: Server, flat: Flat, what: string, seconds: number, { readers, posters, fault }: Context): Promise<void> {
  await readers.call('start')
  const { result: { written, received }, cpu } = await server.during(async () => {
    const written = await posters.call('post', { port: server.port, connections, seconds })
    return { written, received: await readers.call('settle', written) }
  })
  if (received.wrong > 0) fault(`${what}: ${received.wrong} deliveries lost or doubled`)
  const took = (received.at - written.startedAt) / 1e6
  flat.perSecond.push(received.deliveries / took)
  flat.posts.push(written.requests / written.seconds)
  flat.p50.push(received.latency.p50)
  flat.p99.push(received.latency.p99)
  flat.cpu.push(cpu / received.deliveries)
  flat.readerShare.push(received.cpuShare)
  flat.wrong.push(received.wrong)
}

function render ({ sizes, rounds, seconds, peers: measured, ceilings }: Result): string {
  const flat = sizes.map(size => `#### ${figure(size)} subscribers\n\n${table(
    ['Server', 'deliveries a second', 'p50, ms', 'p99, ms', 'CPU a delivery, µs', 'POSTs a second', 'lost or doubled', 'readers\' processor, %'],
    measured.map(({ name, flat: { [size]: row } }) => [name, spreadText(row?.perSecond ?? []), spreadText(row?.p50 ?? []), spreadText(row?.p99 ?? []), spreadText(row?.cpu ?? []), spreadText(row?.posts ?? []),
      String(row?.wrong.reduce((sum, each) => sum + each, 0)), figure(Math.max(...row?.readerShare ?? []) * 100)])
  )}`)
  const paced = pacedSizes(sizes).map(size => `#### ${figure(size)} subscribers, ${figure(pace / size)} POSTs a second\n\n${table(
    ['Server', 'delivery p50, ms', 'p99, ms', 'GET p50, ms', 'p99, ms', 'GET p99 with no subscriber, ms', 'time taken beside time given'],
    measured.map(({ name, restAloneP99, paced: { [size]: row } }) => [name, spreadText(row?.p50 ?? []), spreadText(row?.p99 ?? []), spreadText(row?.restP50 ?? []), spreadText(row?.restP99 ?? []), spreadText(restAloneP99), spreadText(row?.behind ?? [])])
  )}`)
  return `Every subscriber gets every change; each of them has its frames counted, every tenth is read and shows the time from POST to delivery. Median of ${rounds} rounds, lowest and highest in parentheses.

### As fast as it goes

${connections} connections POST for ${seconds} s, each as soon as it has its answer; the time ends when the last delivery has come. The latency here is that of a full queue.

![Deliveries a second by number of subscribers](fanout.svg)

${flat.join('\n\n')}

### At a set pace

${figure(pace)} deliveries a second for ${pacedSeconds} s, and beside them ${restRate} GETs a second of one record, timed from when each was due. Above 1 in the last column: the server did not keep up.

${paced.join('\n\n')}

### Memory of an idle connection

What the server grew by, a connection, when ${figure(Math.max(...sizes))} were connected after the first tenth of them, and nothing was sent.

${table(['Server', 'kB a connection'], measured.map(({ name, idle }) => [name, spreadText(idle)]))}

### What the load side can take

${renderCeiling(ceilings)}

What bounds it: the server's processor, and of that the system call for each write to a socket. A server that joins several changes for one socket into one write needs fewer of them, and the more so the busier it is.`
}

function charts ({ sizes, peers: measured }: Result): Record<string, string> {
  const series = measured.map(({ name, flat }) => ({
    name,
    points: sizes.map(size => ({ x: size, y: spread(flat[size]?.perSecond ?? []).median }))
  }))
  return { 'fanout.svg': chart({ title: 'Deliveries a second by number of subscribers', x: 'subscribers', y: 'deliveries a second', series }) }
}

export const fanout: Suite<Result> = { title: 'Fan-out', run, render, charts }

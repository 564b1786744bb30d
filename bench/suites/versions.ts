import { join } from 'node:path'
import { measured, Server } from '../runner/server.ts'
import { type Interval, figure, intervalOf, spread, spreadText } from '../runner/statistics.ts'
import type { Context, Suite } from '../runner/suite.ts'
import { table } from '../runner/table.ts'

/** One thing measured with both versions in turn, pair by pair. */
interface Row {
  readonly name: string
  readonly unit: string
  readonly before: number[]
  readonly now: number[]
}

interface Result { readonly rows: readonly Row[], readonly pairs: number, readonly records: number }

type Version = 'before' | 'now'

interface Measure {
  readonly name: string
  readonly unit: string
  readonly inFile?: boolean
  /** People in the file before the server starts. */
  readonly filled?: boolean
  /** How much is done in a second: more is better. */
  once (server: Server, context: Context, quick: boolean): Promise<number>
}

const aim = 0.97
const posting = { connections: 64 }
const matching = encodeURIComponent('{"age":{"$lt":1}}')
const eachOwn = `/updates?where=${encodeURIComponent('{"job":"j%i"}').replace('%25i', '%i')}`

const measures: readonly Measure[] = [
  { name: 'POSTs, memory', unit: 'a second', once: posts },
  { name: 'POSTs, SQLite, synchronous=full', unit: 'a second', inFile: true, once: posts },
  { name: 'fan-out to 1,000 subscribers', unit: 'deliveries a second', once: async (server, context, quick) => await delivered(server, context, { path: '/updates', count: quick ? 100 : 1000, filters: 1, connections: 8 }, quick) },
  { name: 'POSTs beside 1,000 filters, each matched by one in 1,000', unit: 'deliveries a second', once: async (server, context, quick) => await delivered(server, context, { path: eachOwn, count: 1000, filters: 1000, connections: 16 }, quick) },
  { name: 'replay of the log', unit: 'changes a second', inFile: true, filled: true, once: async (server, context) => await streamed(server, context, '/updates?since=start') },
  { name: 'snapshot of 1 % of the records', unit: 'records looked at a second', inFile: true, filled: true, once: async (server, context) => await streamed(server, context, `/updates?snapshot=true&where=${matching}`) * 100 }
]

async function run (context: Context): Promise<Result> {
  const { quick, before } = context
  if (before === null) throw new TypeError('--before names the folder of the other version, built: a checkout after npm ci')
  const pairs = quick ? 3 : 10
  const records = quick ? 20_000 : 200_000
  const rows: Row[] = []
  for (const measure of measures) rows.push(await paired(measure, before, { pairs, records }, context))
  return { rows, pairs, records }
}

async function paired (measure: Measure, folder: string, { pairs, records }: { pairs: number, records: number }, context: Context): Promise<Row> {
  const { name, unit } = measure
  const row: Row = { name, unit, before: [], now: [] }
  const servers: Partial<Record<Version, Server>> = {}
  try {
    for (const version of ['before', 'now'] as const) servers[version] = await open(measure, version, folder, records, context)
    for (const version of ['before', 'now'] as const) await measure.once(servers[version] as Server, context, true) // code gets hot
    for (let pair = 0; pair < pairs; pair++) {
      context.progress(`versions: ${name}, pair ${pair + 1} of ${pairs}`)
      for (const version of pair % 2 === 0 ? ['before', 'now'] as const : ['now', 'before'] as const) row[version].push(await measure.once(servers[version] as Server, context, context.quick))
    }
    return row
  } finally {
    for (const server of Object.values(servers)) await server.stop()
  }
}

/** Both run the same server, each with its own build. */
async function open ({ name, inFile, filled }: Measure, version: Version, folder: string, records: number, { folder: scratch }: Context): Promise<Server> {
  const bench = version === 'now' ? '.' : join(folder, 'bench')
  const command = [process.execPath, join(bench, 'servers/ours.mjs')]
  const env = { KEPT: '2000000', ...inFile && { DATABASE: join(scratch, `${version}-${measures.findIndex(measure => measure.name === name)}.db`) } }
  const server = await Server.start(command, env)
  if (!filled) return server
  await server.stop() // it has made the tables
  await measured([process.execPath, join(bench, 'servers/fill.mjs')], { ...env, COUNT: String(records) })
  return await Server.start(command, env)
}

async function posts ({ port }: Server, { posters }: Context, quick: boolean): Promise<number> {
  const { requests, seconds } = await posters.call('post', { port, ...posting, seconds: quick ? 1 : 2 })
  return requests / seconds
}

async function delivered ({ port }: Server, { readers, posters, fault }: Context, { path, count, filters, connections }: { path: string, count: number, filters: number, connections: number }, quick: boolean): Promise<number> {
  await readers.call('open', { port, path, count, sampleEvery: 10 })
  try {
    await readers.call('start')
    const written = await posters.call('post', { port, connections, seconds: quick ? 1 : 2, ...filters > 1 && { jobs: filters } })
    const received = await readers.call('settle', { ...written, filters })
    if (received.wrong > 0) fault(`${received.wrong} deliveries lost or doubled`)
    return received.deliveries / (received.at - written.startedAt) * 1e6
  } finally {
    await readers.call('close', { count: 0 })
  }
}

async function streamed ({ port }: Server, { readers }: Context, path: string): Promise<number> {
  const { items, milliseconds } = await readers.call('read', { port, path })
  return items / milliseconds * 1000
}

const ratiosOf = ({ before, now }: Row): number[] => now.map((value, pair) => value / (before[pair] ?? NaN))

/** @returns whether it is no slower, as far as the pairs tell: the aim is met, or chance may explain what is missing */
function isKept (median: number, { low, high }: Interval): boolean {
  return median >= aim || (low <= 1 && high >= 1)
}

function render ({ rows, pairs, records }: Result): string {
  return `This version beside another one, in turn: ${pairs} pairs of each, whichever goes first alternating. Median of the pairs' ratios, new to old, with its 95 % interval (bootstrap); higher is faster. ${figure(records)} people in the file where it is read. Aim: a median of ${aim} at least, or an interval that includes 1; "*" marks what misses it.

${table(['What', 'before', 'now', '', 'ratio', '95 % interval'], rows.map(row => {
    const ratios = ratiosOf(row)
    const { median } = spread(ratios)
    const interval = intervalOf(ratios)
    return [row.name, spreadText(row.before), spreadText(row.now), row.unit, `${median.toFixed(3)}${isKept(median, interval) ? '' : ' *'}`, `${interval.low.toFixed(3)} to ${interval.high.toFixed(3)}`]
  }))}`
}

export const versions: Suite<Result> = { title: 'Beside another version', run, render }

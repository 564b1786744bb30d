import { join } from 'node:path'
import { peers } from '../runner/peers.ts'
import { measured } from '../runner/server.ts'
import { figure } from '../runner/statistics.ts'
import { type Context, type Suite, withServer } from '../runner/suite.ts'
import { table } from '../runner/table.ts'

interface Row {
  readonly name: string
  readonly milliseconds: number
  /** Changes or records that came. */
  readonly items?: number
  readonly megabytes?: number
  /** Seconds of the server's processor. */
  readonly cpu?: number
  /** Megabytes before and at most. */
  readonly memory?: number
  readonly peak?: number
}

interface Result { readonly count: number, readonly rows: readonly Row[] }

async function run (context: Context): Promise<Result> {
  const { quick, folder, progress } = context
  const count = quick ? 50_000 : 1_000_000
  const database = join(folder, 'stream.db')
  progress(`stream: ${count} people into SQLite`)
  const node = process.execPath
  await withServer(peers.ours.command, { DATABASE: database }, async () => {}) // makes the tables
  await measured([node, 'servers/fill.mjs'], { DATABASE: database, COUNT: String(count) })
  progress('stream: replay')
  const replay = await readStream('replay of the log, one JSON subscriber', '/updates?since=start', database, count, context)
  progress('stream: snapshot')
  const where = encodeURIComponent('{"age":{"$lt":1}}')
  const snapshot = await readStream('snapshot of what 1 % match, one JSON subscriber', `/updates?snapshot=true&where=${where}`, database, count / 100, context)
  const rows = [replay, snapshot]
  progress('stream: bounds')
  for (const TASK of ['scan of the log', 'scan and encoding of the log', 'scan of the records', 'filter in SQLite']) {
    const { milliseconds } = await measured<{ milliseconds: number }>([node, 'servers/bounds.mjs'], { DATABASE: database, TASK })
    rows.push({ name: `${TASK}, alone`, milliseconds, items: count })
  }
  const bytes = Math.floor((replay.megabytes ?? 0) * 1e6)
  rows.push(await withServer([node, 'servers/bytes.mjs'], { BYTES: String(bytes + 65_536) }, async server => {
    const { result, cpu } = await server.during(() => context.readers.call('drain', { port: server.port, path: '/', bytes }))
    return { name: 'the replay\'s bytes through a socket, alone', milliseconds: result.milliseconds, megabytes: bytes / 1e6, cpu: cpu / 1e6 }
  }))
  return { count, rows }
}

/** A server of its own for each, so that its memory is seen. */
async function readStream (name: string, path: string, database: string, wanted: number, { readers, fault }: Context): Promise<Row> {
  return await withServer(peers.ours.command, { DATABASE: database, KEPT: '2000000' }, async server => {
    const before = server.usage().memory
    const { result, cpu, peak } = await server.during(() => readers.call('read', { port: server.port, path }))
    if (result.items !== wanted) fault(`${name}: ${result.items} came instead of ${wanted}`)
    return { name, milliseconds: result.milliseconds, items: result.items, megabytes: result.bytes / 1e6, cpu: cpu / 1e6, memory: before / 1e6, peak: peak / 1e6 }
  })
}

function render ({ count, rows }: Result): string {
  const optional = (value: number | undefined): string => value === undefined ? '–' : figure(value)
  return `A SQLite file with ${count.toLocaleString('en')} people, whose log has as many changes. Below the first two rows is what bounds them, in the same run: the same log and records read by the same driver with nothing behind it, its changes made into JSON, as many bytes written to a socket. One round.

${table(['What', 'time, s', 'came', 'a second', 'MB', 'server\'s CPU, s', 'memory before, MB', 'peak, MB'], rows.map(({ name, milliseconds, items, megabytes, cpu, memory, peak }) => [
    name, figure(milliseconds / 1000), items?.toLocaleString('en') ?? '–', items === undefined ? '–' : figure(items / milliseconds * 1000), optional(megabytes), optional(cpu), optional(memory), optional(peak)
  ]))}`
}

export const stream: Suite<Result> = { title: 'Replay and snapshot', run, render }

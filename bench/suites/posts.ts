import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { peers } from '../runner/peers.ts'
import { Server } from '../runner/server.ts'
import { figure, spreadText } from '../runner/statistics.ts'
import { type Context, type Suite, chosen, rotated } from '../runner/suite.ts'
import { table } from '../runner/table.ts'

interface Row {
  readonly name: string
  readonly perSecond: number[]
  readonly p50: number[]
  readonly p99: number[]
  /** Microseconds of the server's processor. */
  readonly cpu: number[]
  readonly posterShare: number[]
}

interface Result { readonly rows: readonly Row[], readonly syncs: readonly number[], readonly seconds: number }

const connections = 64
const beside = peers.fastify.name
const ceiling = 'load alone'

async function run (context: Context): Promise<Result> {
  const { quick, folder, posters, progress } = context
  const rounds = quick ? 2 : 5
  const seconds = quick ? 1 : 2
  const servers = new Map<string, Server>()
  const rows: Row[] = []
  const syncs: number[] = []
  const add = async (name: string, command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<void> => {
    servers.set(name, await Server.start(command, env))
    rows.push({ name, perSecond: [], p50: [], p99: [], cpu: [], posterShare: [] })
  }
  try {
    const names = chosen(['ours', 'fastify', 'feathers'], context)
    if (names.includes('ours')) {
      await add(`${peers.ours.name}, memory`, peers.ours.command)
      await add(`${peers.ours.name}, SQLite, synchronous=full`, peers.ours.command, { DATABASE: join(folder, 'posts.db') })
    }
    for (const name of names) if (name !== 'ours') await add(peers[name].name, peers[name].command)
    await add(ceiling, [process.execPath, 'servers/ceiling.mjs'])
    for (const { port } of servers.values()) await posters.call('post', { port, connections, seconds: 1 })
    for (let round = 0; round < rounds; round++) {
      progress(`posts: round ${round + 1} of ${rounds}`)
      for (const row of rotated(rows, round)) await measure(row, servers.get(row.name) as Server, seconds, context)
      syncs.push(syncRate(join(folder, 'sync')))
    }
    return { rows, syncs, seconds }
  } finally {
    for (const server of servers.values()) await server.stop()
  }
}

async function measure (row: Row, server: Server, seconds: number, { posters }: Context): Promise<void> {
  const { result, cpu } = await server.during(() => posters.call('post', { port: server.port, connections, seconds }))
  row.perSecond.push(result.requests / result.seconds)
  row.p50.push(result.latency.p50)
  row.p99.push(result.latency.p99)
  row.cpu.push(cpu / result.requests)
  row.posterShare.push(result.cpuShare)
}

/** How often a second the disk takes 4 KiB for good, one after another. */
function syncRate (path: string): number {
  const file = openSync(path, 'w')
  const page = Buffer.alloc(4096, 1)
  for (let index = 0; index < 256; index++) writeSync(file, page, 0, page.length, index * page.length)
  fdatasyncSync(file)
  const begun = performance.now()
  let count = 0
  while (performance.now() - begun < 500) {
    writeSync(file, page, 0, page.length, count++ % 256 * page.length)
    fdatasyncSync(file)
  }
  const seconds = (performance.now() - begun) / 1000
  closeSync(file)
  return count / seconds
}

function render ({ rows, syncs, seconds }: Result): string {
  const base = rows.find(row => row.name === beside)
  const lines = rows.map(row => [
    row.name,
    spreadText(row.perSecond),
    spreadText(row.p50),
    spreadText(row.p99),
    spreadText(row.cpu),
    base && row.name !== ceiling ? spreadText(row.perSecond.map((value, round) => value / (base.perSecond[round] ?? NaN))) : '–',
    figure(Math.max(...row.posterShare) * 100)
  ])
  return `${connections} connections, each sending its next POST when it has its answer; no subscriber; ${seconds} s a round, ${syncs.length} rounds, the servers alternated in each.
Median of the rounds, lowest and highest in parentheses. "${ceiling}" is a server that answers with bytes made beforehand: what the load side can send at most here.
The disk takes 4 KiB for good ${spreadText(syncs)} times a second (\`fdatasync\`, one after another).

${table(['Server', 'POSTs a second', 'p50, ms', 'p99, ms', 'CPU a POST, µs', `POSTs beside ${beside}`, 'load\'s processor, %'], lines)}

What bounds it: in memory the server's processor; in SQLite the processor and the disk, which takes one \`fdatasync\` for all POSTs that wait together.`
}

export const posts: Suite<Result> = { title: 'POSTs', run, render }

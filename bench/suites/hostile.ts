import { join } from 'node:path'
import { type AttackName, attackNames } from '../load/attacks.ts'
import type { PoliteLoad } from '../load/polite.ts'
import { start } from '../runner/pinning.ts'
import { Server, measured } from '../runner/server.ts'
import { figure } from '../runner/statistics.ts'
import type { Context, Suite } from '../runner/suite.ts'
import { table } from '../runner/table.ts'

interface Row {
  readonly name: AttackName
  /** What who sends had to spend. `cpu` in microseconds, here and below. */
  readonly sent: { readonly requests: number, readonly bytes: number, readonly cpu: number }
  /** What the server spent. `memory`: by how many bytes it grew at most; `hold`: the longest of the event loop, milliseconds. */
  readonly cost: { readonly cpu: number, readonly memory: number, readonly hold: number }
  readonly burner: PoliteLoad
  readonly beside: PoliteLoad
}

interface Result { readonly rows: readonly Row[], readonly records: number, readonly large: number, readonly seconds: number }

const aims = { hold: 50, memory: 64e6, factor: 4, least: 25, many: 50 } as const
const overMany = /lists (?:at once|of 100)|sorted/

async function run (context: Context): Promise<Result> {
  const { quick, folder, progress, fault } = context
  const records = quick ? 50_000 : 1_000_000
  const large = quick ? 20 : 60
  const seconds = quick ? 3 : 8
  const many = join(folder, 'many.db')
  await prepare(many, records)
  const rows: Row[] = []
  for (const name of attackNames) {
    progress(`hostile: ${name}`)
    try {
      rows.push(await measure(name, overMany.test(name) ? many : join(folder, `hostile-${rows.length}.db`), large, seconds, context))
    } catch (error) {
      fault(`hostile, ${name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return { rows, records, large, seconds }
}

/** A server makes the tables, and another program fills them. */
async function prepare (file: string, count: number): Promise<void> {
  const server = await Server.start([process.execPath, 'servers/hostile.mjs'], { DATABASE: file })
  await server.stop()
  await measured([process.execPath, 'servers/fill.mjs'], { DATABASE: file, COUNT: String(count) })
}

async function measure (name: AttackName, file: string, large: number, seconds: number, { readers, posters }: Context): Promise<Row> {
  const server = await Server.start([process.execPath, 'servers/hostile.mjs'], { DATABASE: file })
  const { port } = server
  try {
    if (name.includes('1 MB')) await fill(port, large)
    await readers.call('prepareAttack', { port, name })
    await posters.call('politely', { port, seconds: 1 })
    await longestHold(port)
    const before = server.usage()
    const alone = await server.during(() => posters.call('politely', { port, seconds: seconds / 2 }))
    await longestHold(port)
    const attacked = await server.during(async () => {
      const [sent, polite] = await Promise.all([readers.call('attack', { port, name, seconds }), posters.call('politely', { port, seconds })])
      return { sent, polite, hold: await longestHold(port) }
    })
    const cpu = Math.max(0, attacked.cpu - alone.cpu * 2)
    return {
      name,
      sent: attacked.result.sent,
      cost: { cpu, memory: attacked.peak - before.memory, hold: attacked.result.hold },
      burner: await besideBurner(Math.min(1, cpu / (seconds * 1e6)), () => onNew(file, large, name, fresh => posters.call('politely', { port: fresh, seconds: seconds / 2 }))),
      beside: attacked.result.polite
    }
  } finally {
    await server.stop()
  }
}

/** On a server that has not been attacked. */
async function onNew<T> (file: string, large: number, name: AttackName, work: (port: number) => Promise<T>): Promise<T> {
  const server = await Server.start([process.execPath, 'servers/hostile.mjs'], { DATABASE: name.includes('1 MB') ? `${file}-burner` : file })
  try {
    if (name.includes('1 MB')) await fill(server.port, large)
    return await work(server.port)
  } finally {
    await server.stop()
  }
}

/** Runs `work` while another process takes that share of the server's processor and never connects. */
async function besideBurner<T> (share: number, work: () => Promise<T>): Promise<T> {
  const burner = start('server', [process.execPath, 'servers/burner.mjs'], { env: { SHARE: String(share) }, stdio: 'ignore' })
  try {
    return await work()
  } finally {
    burner.kill('SIGKILL')
  }
}

async function longestHold (port: number): Promise<number> {
  return Number(await (await fetch(`http://127.0.0.1:${port}/loop`)).text())
}

/** Records of nearly 1 MB, the first under an id that attacks know. */
async function fill (port: number, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const id = `0000000${Math.floor(index / 100)}-0000-4000-8000-${String(index).padStart(12, '0')}`
    const body = JSON.stringify({ firstName: 'Ada', lastName: 'Large', age: index, job: 'x'.repeat(1_000_000) })
    const { status } = await fetch(`http://127.0.0.1:${port}/people/${id}`, { method: 'PUT', headers: { 'content-type': 'application/json', 'if-none-match': '*' }, body })
    if (status !== 201) throw new Error(`a record of 1 MB was answered with ${status}`)
  }
}

function render ({ rows, records, large, seconds }: Result): string {
  return `What one client may cost others. SQLite, synchronous=full: ${figure(records)} records for the lists that sort or have 100 × \`$or\`, ${large} records of 1 MB where the row says so. Each goes on for ${seconds} s, beside a polite client that gets one record and writes another every 20 ms, and a subscriber with a \`where\`.
"Burner": the same polite load while another process takes as much of the server's processor as the attack made the server take, and never connects.
Aims: no hold longer than ${aims.hold} ms; no more than ${aims.memory / 1e6} MB; p99 no worse than the larger of ${aims.factor} × the burner's and ${aims.least} ms; beside 30 sorted lists a GET with a p99 under ${aims.many} ms. "*" marks what misses its aim.

${table(['Input', 'requests', 'kB sent', 'sender\'s CPU, s', 'server\'s CPU, s', 'grew by at most, MB', 'longest hold, ms', 'GET p99 beside burner, ms', 'GET p99, ms', 'delivery p99 beside burner, ms', 'delivery p99, ms'], rows.map(({ name, sent, cost, burner, beside }) => [
    name, figure(sent.requests), figure(sent.bytes / 1e3), figure(sent.cpu / 1e6), figure(cost.cpu / 1e6),
    marked(cost.memory / 1e6, aims.memory / 1e6), marked(cost.hold, aims.hold),
    figure(burner.get.p99), marked(beside.get.p99, Math.min(aimOf(burner.get.p99), name.startsWith('30') ? aims.many : Infinity)),
    figure(burner.delivery.p99), marked(beside.delivery.p99, aimOf(burner.delivery.p99))
  ]))}`
}

const aimOf = (burner: number): number => Math.max(aims.factor * burner, aims.least)
const marked = (value: number, aim: number): string => `${figure(value)}${value > aim ? ' *' : ''}`

export const hostile: Suite<Result> = { title: 'Hostile clients', run, render }

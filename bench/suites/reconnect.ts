import { setTimeout as delay } from 'node:timers/promises'
import { join } from 'node:path'
import { peers } from '../runner/peers.ts'
import { spreadText } from '../runner/statistics.ts'
import { type Context, type Suite, withServer } from '../runner/suite.ts'
import { table } from '../runner/table.ts'

interface Row {
  readonly name: string
  /** Milliseconds until all were connected at first, with nothing missed. */
  readonly first: number[]
  /** Milliseconds until all were back and had all they had missed. */
  readonly back: number[]
  readonly slowest: number[]
  /** Microseconds of the server's processor, for each that came back. */
  readonly cpu: number[]
  /** Megabytes. */
  readonly peak: number[]
  readonly wrong: number[]
  readonly readerShare: number[]
}

interface Result { readonly rows: readonly Row[], readonly count: number, readonly rounds: number }

const missed = 100
const concurrency = 500

async function run (context: Context): Promise<Result> {
  const { quick, folder, progress } = context
  const count = quick ? 1000 : 10_000
  const rounds = quick ? 1 : 3
  const row = (name: string): Row => ({ name, first: [], back: [], slowest: [], cpu: [], peak: [], wrong: [], readerShare: [] })
  const rows = [row('memory'), row('SQLite, synchronous=full')]
  for (let round = 0; round < rounds; round++) {
    for (const [index, each] of rows.entries()) {
      progress(`reconnect: round ${round + 1} of ${rounds}, ${each.name}`)
      await measure(each, count, index === 0 ? {} : { DATABASE: join(folder, `reconnect-${round}.db`) }, context)
    }
  }
  return { rows, count, rounds }
}

async function measure (row: Row, count: number, env: Readonly<Record<string, string>>, { readers, posters, fault }: Context): Promise<void> {
  await withServer(peers.ours.command, env, async server => {
    const { port } = server
    const post = (): Promise<unknown> => posters.call('post', { port, connections: 1, seconds: 0, total: 10, batch: missed / 10 })
    await post()
    const { cursor } = await readers.call('read', { port, path: '/updates' })
    const first = await readers.call('gather', { port, path: '/updates', count, items: 0, concurrency })
    await readers.call('scatter')
    await post()
    await delay(1000)
    const { result, cpu, peak } = await server.during(() => readers.call('gather', { port, path: `/updates?since=${cursor}`, count, items: missed, concurrency }))
    await readers.call('scatter')
    if (result.wrong > 0) fault(`reconnect, ${row.name}: ${result.wrong} changes lost or doubled`)
    row.first.push(first.milliseconds)
    row.back.push(result.milliseconds)
    row.slowest.push(result.slowest)
    row.cpu.push(cpu / count)
    row.peak.push(peak / 1e6)
    row.wrong.push(result.wrong)
    row.readerShare.push(result.cpuShare)
  })
}

function render ({ rows, count, rounds }: Result): string {
  return `${count.toLocaleString('en')} JSON subscribers are cut off, ${missed} changes are made, and all come back at once with the cursor they had (${concurrency} handshakes under way at a time, so that none waits for the kernel to try again). The time ends when the last of them is told that it is at the live end; each must have each change once. Median of ${rounds} rounds, lowest and highest in parentheses.

${table(['Log', 'all connected at first, s', 'all back, s', 'slowest single one, s', 'CPU each, µs', 'peak memory, MB', 'lost or doubled', 'readers\' processor, %'], rows.map(each => [
    each.name,
    spreadText(each.first.map(value => value / 1000)), spreadText(each.back.map(value => value / 1000)), spreadText(each.slowest.map(value => value / 1000)),
    spreadText(each.cpu), spreadText(each.peak), String(each.wrong.reduce((sum, wrong) => sum + wrong, 0)), spreadText(each.readerShare.map(value => value * 100))
  ]))}

What bounds it: the handshakes, on both sides, and reading what was missed.`
}

export const reconnect: Suite<Result> = { title: 'Reconnects', run, render }

import { peers } from '../runner/peers.ts'
import { spreadText } from '../runner/statistics.ts'
import { type Context, type Suite, withServer } from '../runner/suite.ts'
import { table } from '../runner/table.ts'

interface Row { readonly filters: number, readonly cpu: number[], readonly perSecond: number[], readonly wrong: number[] }

interface Result { readonly rows: readonly Row[], readonly seconds: number, readonly rounds: number }

const connections = 16

async function run ({ quick, readers, posters, progress, fault }: Context): Promise<Result> {
  const rounds = quick ? 1 : 3
  const seconds = quick ? 1 : 1.5
  const rows: Row[] = [0, 1, 100, quick ? 1000 : 10_000].map(filters => ({ filters, cpu: [], perSecond: [], wrong: [] }))
  const path = `/updates?where=${encodeURIComponent('{"job":"j%i"}').replace('%25i', '%i')}`
  for (let round = 0; round < rounds; round++) {
    progress(`filters: round ${round + 1} of ${rounds}`)
    await withServer(peers.ours.command, {}, async server => {
      const { port } = server
      await posters.call('post', { port, connections, seconds: 1 })
      for (const { filters, cpu, perSecond, wrong } of rows) {
        await readers.call('open', { port, path, count: filters, sampleEvery: 10 })
        await readers.call('start')
        const used = await server.during(async () => {
          const written = await posters.call('post', { port, connections, seconds, jobs: Math.max(1, filters) })
          return { written, received: await readers.call('settle', { ...written, filters: Math.max(1, filters) }) }
        })
        const { written, received } = used.result
        if (received.wrong > 0) fault(`${filters} filters: ${received.wrong} deliveries lost or doubled`)
        cpu.push(used.cpu / written.requests)
        perSecond.push(written.requests / written.seconds)
        wrong.push(received.wrong)
      }
    })
    await readers.call('close', { count: 0 })
  }
  return { rows, seconds, rounds }
}

function render ({ rows, seconds, rounds }: Result): string {
  const [none] = rows
  return `One subscriber for each filter, \`{"job":"j0"}\`, \`{"job":"j1"}\` and so on; each POST matches one of them. ${connections} connections POST for ${seconds} s, each as soon as it has its answer; in memory. Median of ${rounds} rounds, lowest and highest in parentheses.

${table(['Filters', 'CPU a POST, µs', 'beside no subscriber, µs', 'POSTs a second', 'lost or doubled'], rows.map(({ filters, cpu, perSecond, wrong }) => [
    filters.toLocaleString('en'),
    spreadText(cpu),
    spreadText(cpu.map((value, round) => value - (none?.cpu[round] ?? NaN))),
    spreadText(perSecond),
    String(wrong.reduce((sum, each) => sum + each, 0))
  ]))}

What bounds it: the POST itself, and one delivery. With one filter, changes made close together share a write; with many, each goes to another socket.`
}

export const filters: Suite<Result> = { title: 'Filters', run, render }

import { setTimeout as delay } from 'node:timers/promises'
import { figure } from '../runner/statistics.ts'
import { type Context, withServer } from '../runner/suite.ts'
import { table } from '../runner/table.ts'

/** What the readers take from a server that does nothing but write. */
export interface Ceiling {
  readonly perWrite: number
  readonly perSecond: number
  readonly readerShare: number
  readonly serverShare: number
}

const subscribers = 1000

export async function measureCeiling ({ quick, readers, posters, progress }: Context): Promise<Ceiling[]> {
  const ceilings: Ceiling[] = []
  for (const perWrite of [1, 10, 100]) {
    progress(`ceiling of the load side: ${perWrite} frames a write`)
    ceilings.push(await withServer([process.execPath, 'servers/ceiling.mjs'], { PER_WRITE: String(perWrite) }, async server => {
      await readers.call('open', { port: server.port, path: '/updates', count: subscribers, sampleEvery: subscribers })
      await posters.call('post', { port: server.port, connections: 1, seconds: 0, total: 1 })
      await posters.call('pour', { port: server.port })
      await delay(300)
      await readers.call('start')
      const begun = performance.now()
      const { result, cpu } = await server.during(async () => {
        await delay(quick ? 700 : 2000)
        return await readers.call('received')
      })
      const seconds = (performance.now() - begun) / 1000
      await readers.call('close', { count: 0 })
      return { perWrite, perSecond: result.deliveries / seconds, readerShare: result.cpuShare, serverShare: cpu / 1e6 / seconds }
    }))
  }
  return ceilings
}

export function renderCeiling (ceilings: readonly Ceiling[]): string {
  return `A server that writes frames made beforehand to ${figure(subscribers)} sockets, as fast as they are taken. Where a row above comes near the row here with as many frames a write, the load side is what was measured.

${table(['Frames a write', 'frames a second', 'readers\' processor, %', 'server\'s processor, %'],
    ceilings.map(({ perWrite, perSecond, readerShare, serverShare }) => [String(perWrite), figure(perSecond), figure(readerShare * 100), figure(serverShare * 100)]))}`
}

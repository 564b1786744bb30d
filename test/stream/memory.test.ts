import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { type Interface, createInterface } from 'node:readline'
import t from 'tap'
import { subprotocol } from '../../protocol/index.ts'
import { Inbox, stores } from '../helper.ts'
import type { Left } from './memory-server.ts'

/** For each store. */
const sockets = Number(process.env['SOCKETS'] ?? 2500)
const atOnce = 100
const noise = 3_000_000 // bytes

/** A server in a process of its own, which says what is left in it. */
class Server {
  readonly #process: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #reader: Interface

  constructor (file: string) {
    this.#process = spawn(process.execPath, ['--expose-gc', '--import=tsx', new URL('memory-server.ts', import.meta.url).pathname, file], { stdio: ['pipe', 'pipe', 'inherit'] })
    if (!this.#process.stdout) throw new Error('it has no output')
    this.#reader = createInterface(this.#process.stdout)
    this.#lines = this.#reader[Symbol.asyncIterator]()
  }

  async next<T> (): Promise<T> {
    return JSON.parse((await this.#lines.next()).value as string) as T
  }

  async ask<T> (what: string): Promise<T> {
    this.#process.stdin?.write(`${what}\n`)
    return await this.next<T>()
  }

  async end (): Promise<void> {
    this.#process.stdin?.end()
    if (this.#process.exitCode === null) await once(this.#process, 'exit')
  }
}

const where = (age: number): string => `where=${encodeURIComponent(JSON.stringify({ age: { $lt: age } }))}`

type Leaver = (origin: string, index: number) => Promise<void>

async function join (url: string, protocols?: string): Promise<Inbox> {
  return await new Inbox(url, protocols).open()
}

async function cut (inbox: Inbox): Promise<void> {
  inbox.socket.terminate()
  await inbox.closed()
}

/** Ways to come and go. */
const leavers: readonly Leaver[] = [
  async origin => {
    const text = await join(`${origin}/updates`)
    text.send('saves')
    text.send('stop')
    await text.closed()
  },
  async (origin, index) => {
    const text = await join(`${origin}/updates?${where(index % 90)}`)
    text.send('deletes')
    await cut(text)
  },
  async (origin, index) => {
    const json = await join(`${origin}/updates?${where(index % 70)}&fields=age`, subprotocol)
    await json.next()
    json.socket.close()
    await json.closed()
  },
  async origin => await cut(await join(`${origin}/updates?snapshot=true`, subprotocol)),
  async (origin, index) => {
    const json = await join(`${origin}/updates?snapshot=true&${where(1000)}`, subprotocol)
    await json.next()
    json.send({ type: 'filter', where: { age: { $gt: index % 50 } } })
    json.send({ type: 'filter', where: null, fields: ['job'] })
    await json.next()
    await cut(json)
  },
  async (origin, index) => {
    const sent = request(`${origin}/updates?${index % 2 === 0 ? 'snapshot=true' : where(index % 30)}`, { agent: false, headers: { accept: 'text/event-stream' } }).on('error', () => {})
    sent.end()
    const [response] = await once(sent, 'response')
    await once(response, 'data')
    sent.destroy()
    await once(sent, 'close')
  }
]

for (const name of Object.keys(stores)) {
  t.test(`${sockets} subscribers that have come and gone leave nothing behind, over ${name}`, { timeout: 115_000 }, async t => {
    const server = new Server(name === 'memory' ? '' : `${t.testdir()}/test.db`)
    t.teardown(() => server.end())
    const origin = await server.next<string>()
    const rounds: Left[] = [await server.ask<Left>('left')]
    for (let round = 0; round < 2; round++) {
      for (let start = 0; start < sockets / 2; start += atOnce) {
        const gone = Promise.all(Array.from({ length: atOnce }, (_, index) => leavers[index % leavers.length]?.(origin, start + index)))
        await server.ask('write')
        await gone
      }
      rounds.push(await server.ask<Left>('left'))
    }
    const [before, first, second] = rounds
    if (!before || !first || !second) throw new Error('there were two rounds')
    t.comment(`heap ${rounds.map(({ heap }) => `${(heap / 1e6).toFixed(1)} MB`).join(', then ')}`)
    t.same(first.objects, { subscriptions: 0, classes: 0, connections: 0, webSockets: 0 }, 'nobody is left after the first round')
    t.same(second.objects, first.objects, 'nor after the second')
    t.equal(second.listeners, before.listeners, 'the server has the listeners that it had')
    t.ok(second.heap - first.heap < noise, 'the second round takes no more memory than the first left')
  })
}

import { once } from 'node:events'
import { type Socket, connect as connectTcp } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import t from 'tap'
import { subprotocol } from '../../protocol/index.ts'
import { type Inbox, build, connect, listen, until } from '../helper.ts'

const longest = 50 // milliseconds that one client's input may hold the event loop
const many = 60

/** A `where` of 99 conditions, another for each number. */
function where (number: number): object {
  return { $or: Array.from({ length: 99 }, (_, index) => ({ age: index * 10_000 + number })) }
}

/** Sends messages in one write. */
function sendAtOnce ({ socket }: Inbox, messages: readonly object[]): void {
  const { _socket: tcp } = socket as unknown as { _socket: Socket }
  tcp.cork()
  for (const message of messages) socket.send(JSON.stringify(message))
  tcp.uncork()
}

/** The longest that the event loop was held while `work` went on; the best of some rounds, as other processes hold it too. */
async function hold (work: () => Promise<void>): Promise<number> {
  let best = Infinity
  for (let round = 0; round < 8 && best > longest; round++) {
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    await work()
    delay.disable()
    best = Math.min(best, delay.max / 1e6)
  }
  return best
}

t.test('many filters that come at once are read a few at a time, and each is answered', async t => {
  const origin = await listen(await build(t))
  const best = await hold(async () => {
    const inbox = await connect(t, `${origin}/updates`, subprotocol)
    sendAtOnce(inbox, Array.from({ length: many }, (_, number) => ({ type: 'filter', where: where(number) })))
    for (let answered = 0; answered < many;) if ((await inbox.nextJson()).type === 'filtered') answered++
    inbox.send({ type: 'stop' })
    t.equal((await inbox.closed()).code, 1000, 'and the socket goes on being read')
  })
  t.ok(best < longest, `held for ${best.toFixed()} ms`)
})

t.test('messages that wait for their turn are obeyed in their order, and none after a stop', async t => {
  const app = await build(t)
  const inbox = await connect(t, `${await listen(app)}/updates`, subprotocol)
  const filters = Array.from({ length: 10 }, (_, number) => ({ type: 'filter', where: where(number) }))
  sendAtOnce(inbox, [...filters, { type: 'stop' }, ...filters])
  t.equal((await inbox.closed()).code, 1000)
  const told = inbox.left().map(text => JSON.parse(text) as { type: string, filter: { where: unknown } }).filter(({ type }) => type === 'filtered')
  t.same(told.map(({ filter }) => filter.where), filters.slice(0, told.length).map(filter => filter.where))
})

t.test('of filters beyond what a subscriber may ask for none is looked at', async t => {
  const app = await build(t)
  const { properties } = app.changeStreams.people.resource
  const at = properties.at.bind(properties)
  let looked = 0
  properties.at = path => {
    looked++
    return at(path)
  }
  const inbox = await connect(t, `${await listen(app)}/updates`, subprotocol)
  const began = performance.now()
  sendAtOnce(inbox, Array.from({ length: 500 }, (_, number) => ({ type: 'filter', where: where(number) })))
  t.equal((await inbox.closed()).code, 4429)
  const allowed = 100 + 20 * (performance.now() - began) / 1000
  t.ok(looked <= allowed * 99, `${looked / 99} filters of ${allowed.toFixed()}`)
})

for (const path of ['/people', '/updates']) {
  t.test(`requests to ${path} that are sent at once on one connection hold the event loop one at a time`, async t => {
    const origin = await listen(await build(t))
    const socket = connectTcp(Number(new URL(origin).port), '127.0.0.1')
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    let text = ''
    socket.on('data', chunk => { text += String(chunk) })
    const best = await hold(async () => {
      text = ''
      socket.write(Array.from({ length: many }, (_, number) => `GET ${path}?where=${encodeURIComponent(JSON.stringify(where(number)))} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''))
      await until(() => text.match(/HTTP\/1.1 200/g)?.length === many)
    })
    t.ok(best < longest, `held for ${best.toFixed()} ms`)
  })
}

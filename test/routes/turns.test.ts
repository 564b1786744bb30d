import { once } from 'node:events'
import { type Socket, connect as connectTcp } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { subprotocol } from '../../protocol/index.ts'
import { type Inbox, build, connect, listen, until } from '../helper.ts'

const many = 60 // some 100 ms of work on a quick machine

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

/** How many turns of the event loop went by while conditions were looked at in `work`. */
async function turnsOf (app: FastifyInstance, work: () => Promise<void>): Promise<number> {
  const { properties } = app.changeStreams.people.resource
  const at = properties.at.bind(properties)
  const turns: number[] = []
  let turn = 0
  let ticking = true
  properties.at = path => {
    if (turns.at(-1) !== turn) turns.push(turn)
    return at(path)
  }
  const tick = (): void => {
    turn++
    if (ticking) setImmediate(tick)
  }
  tick()
  await work()
  ticking = false
  return turns.length
}

t.test('many filters that come at once are read a few in each turn of the event loop, and each is answered', async t => {
  const app = await build(t)
  const origin = await listen(app)
  const turns = await turnsOf(app, async () => {
    const inbox = await connect(t, `${origin}/updates`, subprotocol)
    sendAtOnce(inbox, Array.from({ length: many }, (_, number) => ({ type: 'filter', where: where(number) })))
    for (let answered = 0; answered < many;) if ((await inbox.nextJson()).type === 'filtered') answered++
    inbox.send({ type: 'stop' })
    t.equal((await inbox.closed()).code, 1000, 'and the socket goes on being read')
  })
  t.ok(turns > 2, `in ${turns} turns`)
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
  t.test(`requests to ${path} that are sent at once on one connection are taken a few in each turn of the event loop`, async t => {
    const app = await build(t)
    const origin = await listen(app)
    const socket = connectTcp(Number(new URL(origin).port), '127.0.0.1')
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    let text = ''
    socket.on('data', chunk => { text += String(chunk) })
    const turns = await turnsOf(app, async () => {
      text = ''
      socket.write(Array.from({ length: many }, (_, number) => `GET ${path}?where=${encodeURIComponent(JSON.stringify(where(number)))} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''))
      await until(() => text.match(/HTTP\/1.1 200/g)?.length === many)
    })
    t.ok(turns > 2, `in ${turns} turns`)
  })
}

import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import changeStream from '../../plugin/index.ts'
import { subprotocol } from '../../protocol/index.ts'
import { RawSocket } from '../raw-socket.ts'
import { ada, connect, listen, request, until } from '../helper.ts'

interface Line { readonly level: number, readonly msg: string, readonly err?: { readonly message: string } }

/** An app whose log is kept, from `debug` on. */
async function logging (t: Test): Promise<{ app: FastifyInstance, origin: string, faults: () => (string | undefined)[] }> {
  const lines: Line[] = []
  const app = Fastify({ forceCloseConnections: true, logger: { level: 'debug', stream: { write: line => lines.push(JSON.parse(line) as Line) } } })
  t.teardown(() => app.close())
  await app.register(changeStream, { rest: 0 })
  return { app, origin: await listen(app), faults: () => lines.filter(({ level }) => level >= 50).map(({ err }) => err?.message) }
}

/** Server-sent events, and their text so far. */
async function follow (t: Test, url: string): Promise<{ text: () => string, ended: () => boolean }> {
  const left = new AbortController()
  t.teardown(() => left.abort())
  const { body } = await fetch(url, { headers: { accept: 'text/event-stream' }, signal: left.signal })
  let text = ''
  let state: 'open' | 'ended' = 'open'
  const read = async (): Promise<void> => {
    for await (const chunk of body ?? []) text += new TextDecoder().decode(chunk)
  }
  read().catch(() => {}).finally(() => { state = 'ended' })
  await until(() => text.includes('event: synced'))
  return { text: () => text, ended: () => state === 'ended' }
}

t.test('a fault in what a socket\'s message leads to ends that socket with 1011, is logged, and the others go on', async t => {
  const { app, origin, faults } = await logging(t)
  const { properties } = app.changeStreams.people.resource
  const at = properties.at.bind(properties)
  properties.at = path => {
    if (path[0] === 'job') throw new RangeError('a fault of the reading')
    return at(path)
  }
  const [bad, other] = [await connect(t, `${origin}/updates`, subprotocol), await connect(t, `${origin}/updates`)]
  bad.send({ type: 'filter', where: { job: 'dev' } })
  t.equal((await bad.closed()).code, 1011)
  t.match(bad.left().at(-1), '"internal"')
  t.same(faults(), ['a fault of the reading'])
  await app.changeStreams.people.create(ada)
  t.match(await other.next(), 'Ada')
})

t.test('a logger that throws in a listener ends that connection, and the others go on', async t => {
  const { app, origin, faults } = await logging(t)
  app.log.debug = () => { throw new Error('a fault of the logger') }
  const other = await connect(t, `${origin}/updates`)
  const raw = new RawSocket(Number(new URL(origin).port), '/updates')
  await raw.has(() => true).catch(() => {})
  await until(() => raw.socket.bytesRead > 0)
  raw.socket.write(Buffer.from([0x83, 0x80, 0, 0, 0, 0])) // an opcode that there is not
  await raw.ended()
  t.same(faults(), ['a fault of the logger'])
  await app.changeStreams.people.create(ada)
  t.match(await other.next(), 'Ada')
})

t.test('a filter that fails on a change ends those who have it, however they read, is logged, and the others go on', async t => {
  const { app, origin, faults } = await logging(t)
  const { people } = app.changeStreams
  const where = `where=${encodeURIComponent('{"age":{"$gt":1}}')}`
  const [bad, other] = [await connect(t, `${origin}/updates?${where}`, subprotocol), await connect(t, `${origin}/updates`)]
  const [badEvents, otherEvents] = [await follow(t, `${origin}/updates?${where}`), await follow(t, `${origin}/updates`)]
  let waiting = 0
  app.server.on('request', () => waiting++)
  const [badFeed, otherFeed] = [request(`${origin}/updates?wait=30&${where}`), request(`${origin}/updates?wait=30`)]
  await until(() => waiting === 2)
  await new Promise(resolve => setTimeout(resolve, 50)) // both have been read as far as there is something
  const spoil = (entries: readonly object[]): void => { Object.defineProperty(entries[0], 'record', { configurable: true, get: () => { throw new Error('a fault of the filter') } }) }
  people.prependListener('committed', spoil)
  await people.create(ada)
  t.equal((await bad.closed()).code, 1011)
  await until(() => badEvents.ended())
  t.match(badEvents.text(), /event: error\ndata: .*"internal"/)
  t.equal((await badFeed).status, 500)
  t.ok(faults().length > 0 && faults().every(message => message === 'a fault of the filter'), faults().join())
  people.off('committed', spoil)
  t.match(await other.next(), 'Ada')
  t.match((await otherFeed).text, 'Ada')
  await people.create({ ...ada, firstName: 'Grace' })
  t.match(await other.next(), 'Grace')
  await until(() => otherEvents.text().includes('Ada') && otherEvents.text().includes('Grace'))
})

t.test('a response that can\'t be written to ends that one stream of events, is logged, and the others go on', async t => {
  const { app, origin, faults } = await logging(t)
  app.server.on('request', ({ url }, response) => {
    if (url !== '/updates?filter=saves') return
    const { write } = response
    response.write = ((chunk: unknown) => {
      if (String(chunk).includes('Ada')) throw new Error('a fault of the response')
      return Reflect.apply(write, response, [chunk])
    }) as typeof write
  })
  const [bad, other] = [await follow(t, `${origin}/updates?filter=saves`), await follow(t, `${origin}/updates`)]
  await app.changeStreams.people.create(ada)
  await until(() => bad.ended() && other.text().includes('Ada'))
  t.same(faults(), ['a fault of the response'])
  t.match(bad.text(), /event: error\ndata: .*"internal"/)
})

import t from 'tap'
import { everything, refine } from '../../protocol/filter.ts'
import type { Snapshot } from '../../protocol/log.ts'
import { Allowance } from '../../stream/allowance.ts'
import { readFeed } from '../../stream/feed.ts'
import { jsonReader } from '../../stream/reader.ts'
import { Subscription } from '../../stream/subscription.ts'
import { ada, build, connect, listen, until } from '../helper.ts'
import { Sink, openHub } from './sinks.ts'

t.test('a page of the feed ends at its bytes, holds one change at least, and its cursor leads on without a gap', async t => {
  for (const maxPage of [1, 400, 1000, 1_048_576]) {
    const { people, hub } = await openHub({ maxPage })
    t.teardown(() => hub.close(0))
    await people.createAll(Array.from({ length: 20 }, (_, age) => ({ ...ada, age, job: 'x'.repeat(age * 20 + 1) })))
    const { properties } = people.resource
    const filter = refine(everything, { where: { age: { $nin: [3, 4, 19] } } }, properties)
    const ages: number[] = []
    for (let position = 0, more = true; more;) {
      const text = await readFeed(hub, { filter, position, limit: 1000, wait: 0, signal: new AbortController().signal })
      const page = JSON.parse(text) as { changes: Array<{ record: { age: number } }>, cursor: string, more: boolean }
      ages.push(...page.changes.map(({ record }) => record.age))
      if (page.changes.length > 1) t.ok(text.length < maxPage + 100, `${text.length} of ${maxPage}`)
      position = Number(page.cursor.split('.')[1])
      more = page.more
    }
    t.same(ages, Array.from({ length: 20 }, (_, age) => age).filter(age => ![3, 4, 19].includes(age)))
  }
})

t.test('a large tail is given to who catches up in pages of so many bytes, one change at least', async t => {
  const { people, hub } = await openHub({ tailSize: 1e9 })
  t.teardown(() => hub.close(0))
  const first = new Subscription(hub, new Sink(), { reader: jsonReader(), filter: everything, view: false })
  first.startAt(0)
  for (const length of [10_000, 1_000_000]) {
    await people.createAll(Array.from({ length: 10 }, () => ({ ...ada, job: 'x'.repeat(length) })))
    for (let position = hub.position - 10; position < hub.position;) {
      const changes = await hub.read(position)
      t.ok(changes.length > 0 && changes.slice(0, -1).reduce((sum, { size }) => sum + size, 0) < 65_536, `${changes.length} of ${length} bytes`)
      position = changes.at(-1)?.position ?? Infinity
    }
  }
  const late = new Sink()
  const filter = refine(everything, { where: { firstName: ada.firstName }, fields: ['age'] }, people.resource.properties)
  new Subscription(hub, late, { reader: jsonReader(), filter, view: false }).startAt(0)
  await until(() => late.messages.at(-1)?.['type'] === 'synced')
  t.same(late.positions, Array.from({ length: 20 }, (_, index) => index + 1))
})

t.test('a flood of filters ends with 4429, and what was asked before holds until then', async t => {
  const app = await build(t)
  const origin = await listen(app)
  const [flooding, polite] = [await connect(t, `${origin}/updates`, 'change-stream.v1'), await connect(t, `${origin}/updates`)]
  await flooding.next()
  for (let count = 0; count < 2000; count++) flooding.send({ type: 'filter', filter: count % 2 === 0 ? 'saves' : 'deletes' })
  const { code, reason } = await flooding.closed()
  t.equal(code, 4429)
  t.match(reason, /too many filters/)
  const { id } = await app.changeStreams.people.create(ada)
  t.match(await polite.next(), id)
})

t.test('an allowance comes back with time', t => {
  const allowance = new Allowance(3, 1000)
  t.same([1, 2, 3].map(() => allowance.take()), [true, true, true])
  const start = performance.now()
  while (!allowance.take()) if (performance.now() > start + 5000) throw new Error('it did not come back')
  t.pass()
  t.end()
})

t.test('a bookmark comes within a heartbeat of what was sent last', async t => {
  const heartbeat = 300
  const { people, hub } = await openHub({ heartbeat })
  t.teardown(() => hub.close(0))
  const sink = new Sink()
  const beats: number[] = []
  const subscription = new Subscription(hub, sink, { reader: jsonReader(), filter: everything, view: false })
  subscription.startAt(hub.position)
  await people.create(ada)
  await until(() => sink.positions.length === 1)
  const before = sink.messages.length
  for (let beat = 0; beat < 3; beat++) { // thrice in a heartbeat
    subscription.beat()
    beats.push(sink.messages.length - before)
  }
  t.same(beats, [0, 0, 1], 'before the heartbeat is over')
  t.equal(sink.messages.at(-1)?.['type'], 'bookmark')
})

t.test('while records are being looked for, the peer hears that the server lives, and gets no cursor', async t => {
  const { people, hub } = await openHub()
  t.teardown(() => hub.close(0))
  const { log } = people
  const open = log.snapshot.bind(log)
  let release = (): void => {}
  log.snapshot = (where): Snapshot => {
    const snapshot = open(where)
    return {
      position: snapshot.position,
      close: () => snapshot.close(),
      next: async () => {
        await new Promise<void>(resolve => { release = resolve })
        return await snapshot.next()
      }
    }
  }
  const sink = new Sink()
  const subscription = new Subscription(hub, sink, { reader: jsonReader(), filter: everything, view: true })
  subscription.startWithSnapshot(null)
  for (let beat = 0; beat < 3; beat++) subscription.beat()
  t.same(sink.messages.map(({ type }) => type), ['ready', 'snapshot'])
  t.same(sink.messages.at(-1)?.['records'], [])
  await until(() => {
    release()
    return subscription.state === 'live'
  })
  t.equal(sink.messages.at(-1)?.['type'], 'synced')
})

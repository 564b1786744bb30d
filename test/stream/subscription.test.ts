import t from 'tap'
import { everything, refine } from '../../protocol/filter.ts'
import { memory } from '../../repository/memory.ts'
import type { Repository } from '../../repository/repository.ts'
import type { Retention } from '../../repository/retention.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { findDriver } from '../../repository/sqlite/driver.ts'
import type { OpenStore } from '../../repository/store.ts'
import type { Person } from '../../plugin/options.ts'
import { obeyJson } from '../../routes/commands.ts'
import { readFeed } from '../../stream/feed.ts'
import type { Hub, HubSettings } from '../../stream/hub.ts'
import { type Reader, jsonReader } from '../../stream/reader.ts'
import { Subscription } from '../../stream/subscription.ts'
import { ada, driver, grace, spend, sqliteOptions, until } from '../helper.ts'
import { Sink, openHub } from './sinks.ts'

/** Takes so long that a pass over many has several slices. */
class Slow extends Sink {
  override write (bytes: Buffer): void {
    super.write(bytes)
    spend(0.1)
  }
}

async function open (settings: Partial<HubSettings> = {}, retention: Partial<Retention> = {}, openStore: OpenStore = memory({ retention })): Promise<{ people: Repository<typeof Person>, hub: Hub }> {
  const { people, hub } = await openHub({ tailSize: 1, cacheSize: 1, rest: 10, ...settings }, openStore, error => { throw error })
  t.teardown(() => hub.close(0))
  return { people, hub }
}

/** All that the hub has to do is done in a few turns of the event loop. */
async function turns (): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
}

t.test('a filter that comes while the difference of another is being sent goes on from that', async t => {
  const { people, hub } = await open()
  const { properties } = people.resource
  await people.createAll([{ ...ada, age: 1 }, { ...ada, age: 2 }, { ...ada, age: 3 }])
  const sink = new Sink()
  const subscription = new Subscription(hub, sink, { reader: jsonReader(), filter: everything, view: true })
  subscription.startWithSnapshot(null)
  await turns()
  obeyJson(subscription, '{"type":"filter","where":{"age":1}}', properties)
  await new Promise(resolve => setImmediate(resolve)) // the difference begins, and is stopped by a slow reader
  sink.blocked = true
  await turns()
  obeyJson(subscription, '{"type":"filter","fields":["age"]}', properties)
  sink.blocked = false
  subscription.drained()
  await turns()
  const filtered = sink.messages.filter(({ type }) => type === 'filtered')
  t.same(filtered.map(message => message['filter']), [{ filter: 'all', where: { age: 1 }, fields: null }, { filter: 'all', where: { age: 1 }, fields: ['age'] }])
})

t.test('a subscriber that is up to date is not told that the log is gone', async t => {
  const { people, hub } = await open({ ringSize: 100 }, { count: 5, age: 0 })
  const sink = new Sink()
  const filter = refine(everything, { where: { age: 99 } }, people.resource.properties)
  new Subscription(hub, sink, { reader: jsonReader(), filter, view: false }).startAt(hub.position)
  await turns()
  for (let age = 0; age < 20; age++) await people.create({ ...ada, age })
  await turns()
  await people.create({ ...ada, age: 99 }) // larger than the ring
  await turns()
  t.same(sink.messages.map(({ type }) => type), ['ready', 'synced', 'changes'])
})

t.test('writes go on when those who held them back have left', async t => {
  const { people, hub } = await open({ backlog: 1, overloadWait: 50, overload: 'refuse' })
  const subscription = new Subscription(hub, new Sink(), { reader: jsonReader(), filter: everything, view: false })
  subscription.startAt(hub.position)
  await turns()
  const saved = people.create(ada)
  subscription.close()
  await saved
  await turns()
  await people.create(ada)
  t.equal(hub.position, 2)
})

t.test('a view that was told of saves alone starts again when it is to be told of more', async t => {
  const { people, hub } = await open()
  const [one, two] = await people.createAll([{ ...ada, age: 1 }, { ...ada, age: 2 }])
  const sink = new Sink()
  const subscription = new Subscription(hub, sink, { reader: jsonReader(), filter: { ...everything, kinds: 'saves' }, view: true })
  subscription.startWithSnapshot(null)
  await turns()
  await people.delete(one?.id ?? '')
  obeyJson(subscription, '{"type":"filter","filter":"all"}', people.resource.properties)
  await people.delete(two?.id ?? '')
  await people.create({ ...ada, age: 3 })
  await turns()
  t.same(sink.messages.map(({ type }) => type), ['ready', 'snapshot', 'synced', 'reset', 'filtered', 'snapshot', 'changes', 'synced'])
  t.match(sink.messages, [{}, {}, {}, {}, { filter: { filter: 'all' } }, { records: [{ age: 2 }] }, { changes: [{ op: 'delete' }, { op: 'save' }] }, {}])
})

t.test('a feed that waits is told that the log has become another', async t => {
  const { people, hub } = await open()
  await people.create(ada)
  const { log } = hub
  const answer = readFeed(hub, { filter: everything, position: hub.position, limit: 10, wait: 60_000, signal: new AbortController().signal })
  Object.defineProperty(log, 'epoch', { value: 'another' })
  hub.reset()
  await t.rejects(answer, { code: 'gone' })
})

t.test('of a log that has been replaced by a shorter one nothing is told any more', async t => {
  const options = sqliteOptions(t)
  const { people, hub } = await open({ tailSize: 65_536 }, {}, sqlite({ ...driver(), ...options }))
  t.teardown(() => people.close())
  const view = new Sink()
  const viewing = new Subscription(hub, view, { reader: jsonReader(), filter: everything, view: true })
  viewing.startWithSnapshot(null)
  await until(() => view.messages.at(-1)?.['type'] === 'synced')
  view.blocked = true
  await people.createAll(Array.from({ length: 9 }, () => ada))
  await turns() // they are in the tail, and in the ring for the reader that is slow
  const other = (await findDriver(driver().driver))(options.file)
  other.exec(`BEGIN; UPDATE change_streams SET epoch = 'another'; DELETE FROM people_changes WHERE position > 2;
    UPDATE sqlite_sequence SET seq = 2 WHERE name = 'people_changes'; COMMIT`)
  other.close()
  await until(() => people.log.epoch === 'another')
  view.messages.length = 0
  view.blocked = false
  viewing.drained()
  const { cursor } = await people.create(grace)
  t.equal(cursor, 'another.3')
  const late = new Sink()
  new Subscription(hub, late, { reader: jsonReader(), filter: everything, view: false }).startAt(2)
  for (const sink of [view, late]) await until(() => sink.messages.at(-1)?.['type'] === 'synced')
  await people.create(ada)
  await turns()
  t.same(late.positions, [3, 4])
  t.same(view.positions.filter(position => position !== 3), [4], 'but what its snapshot holds')
})

t.test('a commit larger than the ring that comes within a pass leaves nobody without what came before', async t => {
  const { people, hub } = await open({ ringSize: 20_000, slice: 1 })
  let writes = -Infinity
  class Trigger extends Slow {
    override write (bytes: Buffer): void {
      super.write(bytes)
      if (++writes === 60) queueMicrotask(() => { people.createAll(Array.from({ length: 300 }, () => ada)).catch(t.error) }) // behind this slice
    }
  }
  const sinks = Array.from({ length: 70 }, () => new Trigger())
  for (const sink of sinks) new Subscription(hub, sink, { reader: jsonReader(), filter: everything, view: false }).startAt(0)
  await until(() => sinks.every(({ messages }) => messages.at(-1)?.['type'] === 'synced'))
  writes = 0
  await people.createAll([ada, ada])
  await until(() => sinks.every(sink => sink.positions.at(-1) === 302))
  const whole = Array.from({ length: 302 }, (_, index) => index + 1).join()
  t.equal(sinks.filter(sink => sink.positions.join() === whole).length, sinks.length)
})

t.test('a peer that has yet to read what lies before the pings is there for as long as it reads', async t => {
  const { hub } = await open({ heartbeat: 15 })
  const ends: string[] = []
  let pings = 0
  class Peer extends Sink {
    override ping (): boolean {
      pings++
      return true
    }

    override destroy (): void {
      ends.push('lost')
    }
  }
  const peer = new Peer()
  peer.blocked = true
  const subscription = new Subscription(hub, peer, { reader: jsonReader(), filter: everything, view: false })
  subscription.startAt(0)
  let answered = 0
  for (let times = 0; times < 20; times++) {
    await until(() => pings > answered)
    answered = pings
    subscription.drained()
  }
  t.same(ends, [])
  await until(() => ends.length > 0, 'that it is found to be lost')
  t.equal(pings - answered, 4)
})

t.test('who waits to go live until others have been matched does nothing meanwhile', async t => {
  const { people, hub } = await open({ slice: 2, tailSize: 65_536 })
  const reader = {
    ...jsonReader(),
    name: 'slow',
    encode: (...change: Parameters<Reader['encode']>) => {
      spend(1)
      return jsonReader().encode(...change)
    }
  }
  const others = Array.from({ length: 40 }, () => new Sink())
  for (const [age, sink] of others.entries()) {
    const filter = refine(everything, { where: { age: { $gte: -age } } }, people.resource.properties)
    new Subscription(hub, sink, { reader, filter, view: false }).startAt(hub.position)
  }
  await turns()
  await people.createAll(Array.from({ length: 10 }, () => ada))
  const sink = new Sink()
  const waiting = new Subscription(hub, sink, { reader: jsonReader(), filter: everything, view: false })
  const step = waiting.step.bind(waiting)
  let steps = 0
  waiting.step = () => {
    steps++
    step()
  }
  waiting.startAt(hub.position)
  await people.create(ada)
  await until(() => [...others, sink].every(({ positions }) => positions.at(-1) === 11))
  t.same(sink.messages.map(({ type }) => type).sort(), ['changes', 'ready', 'synced'])
  t.ok(steps < 20, `${steps} steps`)
})

t.test('heartbeats go on while there is no end of catching up', async t => {
  const { people, hub } = await open({ heartbeat: 30, slice: 1 })
  await people.create(ada)
  const sink = new Sink()
  new Subscription(hub, sink, { reader: jsonReader(), filter: everything, view: false }).startAt(hub.position)
  await turns()
  const busy = new Subscription(hub, new Sink(), { reader: jsonReader(), filter: everything, view: false })
  busy.step = () => {
    spend(2)
    hub.enqueue(busy)
  }
  hub.enqueue(busy)
  await until(() => sink.messages.some(({ type }) => type === 'bookmark'))
  busy.step = () => {}
  t.pass()
})

t.test('a slice that is used up by who goes live leaves the others the next one, and no change waits for another', async t => {
  const { people, hub } = await open({ slice: 1, heartbeat: 1e6 })
  const follow = (sink: Sink, position: number): Subscription => {
    const subscription = new Subscription(hub, sink, { reader: jsonReader(), filter: everything, view: false })
    subscription.startAt(position)
    return subscription
  }
  const sinks = Array.from({ length: 40 }, () => new Slow())
  for (const sink of sinks) follow(sink, hub.position)
  for (let age = 0; age < 150; age++) {
    const { position } = hub
    await people.create({ ...ada, age })
    const latecomers = Array.from({ length: 20 }, () => follow(new Slow(), position))
    await until(() => sinks.every(sink => JSON.stringify(sink.messages.at(-1)).includes(`"age":${age},`)))
    for (const latecomer of latecomers) latecomer.close()
  }
  t.pass('all have been told of all')
})

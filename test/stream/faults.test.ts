import { setImmediate as nextTick } from 'node:timers/promises'
import t from 'tap'
import { everything } from '../../protocol/filter.ts'
import { readFeed } from '../../stream/feed.ts'
import type { Hub } from '../../stream/hub.ts'
import { type Reader, jsonReader } from '../../stream/reader.ts'
import { Subscription } from '../../stream/subscription.ts'
import { ada, until } from '../helper.ts'
import { Sink, openHub } from './sinks.ts'

class Broken extends Sink {
  broken = true

  override write (bytes: Buffer): void {
    if (this.broken) throw new Error('the socket is broken')
    super.write(bytes)
  }
}

class BrokenPing extends Sink {
  override ping (): boolean {
    throw new Error('it can\'t be pinged')
  }
}

/** Encodes nothing from `limits.from` on. */
function failing (limits: { from: number }): Reader {
  const reader = jsonReader()
  return {
    ...reader,
    name: 'failing',
    encode (told, log) {
      if (told.position >= limits.from) throw new Error('it can\'t be encoded')
      return reader.encode(told, log)
    }
  }
}

function subscribe (hub: Hub, sink: Sink, reader = jsonReader(), view = false): Subscription {
  return new Subscription(hub, sink, { reader, filter: everything, view })
}

function follow (hub: Hub, sink: Sink, reader = jsonReader()): Subscription {
  const subscription = subscribe(hub, sink, reader)
  subscription.startAt(hub.position)
  return subscription
}

t.test('a transport that throws ends its own subscriber, and the others are told everything', async t => {
  const { people, hub, errors } = await openHub()
  t.teardown(() => hub.close(0))
  const sinks = Array.from({ length: 40 }, (_, index) => index % 2 === 0 ? new Sink() : Object.assign(new Broken(), { broken: false }))
  for (const sink of sinks) follow(hub, sink)
  await people.create(ada)
  await until(() => sinks.every(sink => sink.positions.length === 1))
  for (const sink of sinks) if (sink instanceof Broken) sink.broken = true
  await people.createAll([ada, ada])
  await until(() => sinks.every(sink => sink.positions.length === 3 || sink.code !== null))
  t.same(sinks.map(sink => [sink.code, sink.positions]), sinks.map(sink => sink instanceof Broken ? [1006, [1]] : [null, [1, 2, 3]]))
  t.equal(errors.length, 20)
  await people.create(ada)
  await until(() => sinks.filter(sink => sink.code === null).every(sink => sink.positions.length === 4))
})

t.test('a change that can\'t be encoded ends the subscribers of that class alone, who can be told what came before', async t => {
  const { people, hub, errors } = await openHub()
  t.teardown(() => hub.close(0))
  const limits = { from: 3 }
  const [fine, touched, slow] = [new Sink(), new Sink(), new Sink()]
  follow(hub, fine)
  follow(hub, touched, failing(limits))
  follow(hub, slow, failing(limits))
  slow.blocked = true
  await people.createAll([ada, ada])
  await until(() => touched.positions.length === 2)
  await people.createAll([ada, ada])
  await until(() => fine.positions.length === 4)
  t.same([touched.code, touched.positions], [1011, [1, 2]])
  t.equal(touched.messages.at(-1)?.['code'], 'internal')
  t.equal(slow.code, null, 'it has yet to read what came before')
  slow.blocked = false
  limits.from = Infinity
  const again = new Sink()
  subscribe(hub, again, failing(limits)).startAt(2)
  await people.create(ada)
  await until(() => again.positions.length === 3 && fine.positions.length === 5)
  t.same(again.positions, [3, 4, 5], 'who comes back is told the rest')
  t.ok(errors.length > 0)
})

t.test('who lags behind a change that can\'t be encoded is never told what comes after it as if it were next', async t => {
  const { people, hub } = await openHub()
  t.teardown(() => hub.close(0))
  const limits = { from: 3 }
  const slow = new Sink()
  const subscription = follow(hub, slow, failing(limits))
  await until(() => subscription.state === 'live')
  slow.blocked = true
  await people.createAll([ada, ada])
  await until(() => subscription.state === 'lagging')
  await people.create(ada)
  slow.blocked = false
  subscription.drained()
  await until(() => slow.code !== null)
  t.same([slow.code, slow.positions.filter(position => position > 2)], [1011, []])
})

t.test('a step that throws ends its own subscriber: a snapshot, a heartbeat, a goodbye', async t => {
  const { people, hub, errors } = await openHub({ heartbeat: 6 })
  await people.create(ada)
  const { log } = people
  const [bad, fine, pinged] = [new Sink(), new Sink(), new BrokenPing()]
  const snapshot = log.snapshot.bind(log)
  log.snapshot = where => ({ ...snapshot(where), next: () => { throw new TypeError('a fault') } })
  subscribe(hub, bad, jsonReader(), true).startWithSnapshot(null)
  log.snapshot = snapshot
  subscribe(hub, fine, jsonReader(), true).startWithSnapshot(null)
  follow(hub, pinged)
  await until(() => bad.code !== null && pinged.code !== null && fine.messages.some(({ type }) => type === 'synced'))
  t.same([bad.code, pinged.code, fine.code], [1011, 1011, null])
  t.equal(errors.length, 2)
  const broken = Object.assign(new Broken(), { broken: false })
  follow(hub, broken)
  broken.broken = true
  hub.close(0)
  t.same([broken.code, fine.code], [1006, 1001])
})

t.test('a fault in what all share ends them all, and who comes back misses nothing', async t => {
  const { people, hub, errors } = await openHub()
  t.teardown(() => hub.close(0))
  const sink = new Sink()
  follow(hub, sink)
  const feed = readFeed(hub, { filter: everything, position: hub.position, limit: 10, wait: 1000, signal: new AbortController().signal })
  await nextTick()
  hub.append(new Proxy([], { get: () => { throw new Error('a fault') } }))
  await until(() => sink.code !== null)
  t.equal(sink.code, 1011)
  t.equal(errors.length, 1)
  t.match(JSON.parse(await feed), { changes: [], more: false }, 'a feed that waits is answered')
  await people.create(ada)
  const again = new Sink()
  subscribe(hub, again).startAt(0)
  await people.create(ada)
  await until(() => again.positions.length === 2)
  t.same(again.positions, [1, 2])
})

t.test('a feed that waits is told of a fault in its class', async t => {
  const { people, hub } = await openHub()
  t.teardown(() => hub.close(0))
  const request = { filter: everything, position: hub.position, limit: 10, wait: 60_000, signal: new AbortController().signal }
  const feed = readFeed(hub, request)
  await nextTick()
  hub.classOf(everything, jsonReader()).abandon(0, new Error('a fault'))
  await t.rejects(feed, { message: 'a fault' })
  await people.create(ada)
  t.match(JSON.parse(await readFeed(hub, request)), { changes: [{ position: 1 }] })
})

t.test('many who stop reading in one pass keep nothing from the others', async t => {
  const { people, hub } = await openHub()
  t.teardown(() => hub.close(0))
  const sinks = Array.from({ length: 40 }, () => new Sink())
  for (const sink of sinks) follow(hub, sink)
  await people.create(ada)
  await until(() => sinks.every(sink => sink.positions.length === 1))
  for (const [index, sink] of sinks.entries()) sink.blocked = index % 2 === 1
  await people.createAll([ada, ada])
  await until(() => sinks.every(sink => sink.blocked || sink.positions.length === 3))
})

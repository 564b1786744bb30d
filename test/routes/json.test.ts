import type { AddressInfo } from 'node:net'
import t from 'tap'
import { Ajv2019 } from 'ajv/dist/2019.js'
import formats from 'ajv-formats'
import { ClientMessage, ServerMessage, jsonSchemas, subprotocol } from '../../protocol/index.ts'
import { type Inbox, type Person, ada, build, connect, grace, listen, request, stores } from '../helper.ts'
import { RawSocket } from '../raw-socket.ts'

interface Told { op: string, id: string, position: number, at: string, version?: string, record?: Person, reason?: string }
interface Message { type: string, cursor: string, filter: { filter: string, where: unknown, fields: string[] | null }, records: Person[], changes: Told[], code: string, message: string, reason: string, retryAfter: number }

const ajv = new Ajv2019({ strictTypes: false })
formats.default(ajv)
const isServerMessage = ajv.compile(ServerMessage)
const isClientMessage = ajv.compile(ClientMessage)

/** The next message, which must fit its published schema. */
async function next (t: Pick<typeof import('tap').t, 'ok'>, inbox: Inbox, type: string): Promise<Message> {
  const message = await inbox.nextJson<Message & Record<string, unknown>>()
  if (!isServerMessage(message)) t.ok(false, `${JSON.stringify(message)} ${ajv.errorsText(isServerMessage.errors)}`)
  if (message.type !== type) throw new Error(`${type} was expected, not ${JSON.stringify(message)}`)
  return message
}

/** The changes of the next messages, as many as are asked for. */
async function changes (t: Pick<typeof import('tap').t, 'ok'>, inbox: Inbox, count: number): Promise<Told[]> {
  const found: Told[] = []
  while (found.length < count) found.push(...(await next(t, inbox, 'changes')).changes)
  return found
}

const where = (value: object): string => `where=${encodeURIComponent(JSON.stringify(value))}`

for (const [name, store] of Object.entries(stores)) {
  t.test(`the JSON stream over ${name}`, async t => {
    const app = await build(t, { repository: store(t) })
    const origin = await listen(app)
    const people = app.changeStreams.people
    const subscribe = async (t: Parameters<typeof connect>[0], query = ''): Promise<Inbox> => await connect(t, `${origin}/updates?${query}`, subprotocol)

    t.test('begins with ready and synced, then tells of changes', async t => {
      const inbox = await subscribe(t)
      const ready = await next(t, inbox, 'ready')
      t.same(ready.filter, { filter: 'all', where: null, fields: null })
      const synced = await next(t, inbox, 'synced')
      t.equal(synced.cursor, ready.cursor)
      const one = await people.create(ada)
      const { changes: [told], cursor } = await next(t, inbox, 'changes')
      t.same(told, { op: 'save', id: one.id, position: told?.position, at: told?.at, version: one.version, record: one.record })
      t.match(told?.at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      t.ok(Math.abs(Date.parse(told?.at ?? '') - Date.now()) < 5000)
      t.equal(cursor, one.cursor)
      const deleted = await people.delete(one.id)
      const { changes: [gone], cursor: last } = await next(t, inbox, 'changes')
      t.same(gone, { op: 'delete', id: one.id, position: (told?.position ?? 0) + 1, at: gone?.at })
      t.equal(last, deleted.cursor)
    })

    t.test('changes committed together share a frame', async t => {
      const inbox = await subscribe(t)
      await next(t, inbox, 'ready')
      await next(t, inbox, 'synced')
      const saved = await people.createAll(Array.from({ length: 50 }, (_, age) => ({ ...ada, age })))
      const message = await next(t, inbox, 'changes')
      t.same(message.changes.map(change => change.id), saved.map(one => one.id))
      t.equal(message.cursor, saved.at(-1)?.cursor)
    })

    t.test('a replay comes between ready and synced, exactly once', async t => {
      const { cursor } = await people.create(ada)
      const missed = await people.createAll([ada, grace, ada])
      const inbox = await subscribe(t, `since=${cursor}`)
      t.equal((await next(t, inbox, 'ready')).cursor, cursor)
      t.same((await changes(t, inbox, 3)).map(change => change.id), missed.map(one => one.id))
      t.equal((await next(t, inbox, 'synced')).cursor, missed.at(-1)?.cursor)
      const live = await people.create(grace)
      t.same((await changes(t, inbox, 1)).map(change => change.id), [live.id])
    })

    t.test('a replay is filtered as the live stream is', async t => {
      const { cursor } = await people.create(ada)
      const one = await people.create(grace)
      await people.patch(one.id, { age: 10 })
      await people.patch(one.id, { age: 11 })
      await people.patch(one.id, { age: 90 })
      await people.delete(one.id)
      const inbox = await subscribe(t, `since=${cursor}&${where({ age: { $gt: 65 } })}&fields=age`)
      await next(t, inbox, 'ready')
      const told = await changes(t, inbox, 4)
      t.same(told.map(({ op, record, reason }) => [op, record?.age, reason]), [['save', 79, undefined], ['leave', undefined, 'changed'], ['save', 90, undefined], ['delete', undefined, undefined]])
      t.same(told[0]?.record, { id: one.id, age: 79 })
      await next(t, inbox, 'synced')
    })

    t.test('a snapshot comes between ready and synced', async t => {
      const all = (await request<Person[]>(`${origin}/people?limit=1000`)).body
      const inbox = await subscribe(t, 'snapshot=true')
      const ready = await next(t, inbox, 'ready')
      const records: Person[] = []
      let message = await inbox.nextJson<Message>()
      for (; message.type === 'snapshot'; message = await inbox.nextJson<Message>()) records.push(...message.records)
      t.equal(message.type, 'synced')
      t.equal(message.cursor, ready.cursor)
      t.same(records.sort((a, b) => a.id < b.id ? -1 : 1), all)
    })

    t.test('a snapshot has what matches, with its fields', async t => {
      const one = await people.create({ ...ada, age: 101 })
      const inbox = await subscribe(t, `snapshot=true&${where({ age: 101 })}&fields=job,age`)
      await next(t, inbox, 'ready')
      t.same((await next(t, inbox, 'snapshot')).records, [{ id: one.id, age: 101, job: ada.job }])
      await next(t, inbox, 'synced')
    })

    t.test('with since and snapshot the replay is tried first', async t => {
      const { cursor } = await people.create(ada)
      const missed = await people.create(grace)
      const inbox = await subscribe(t, `since=${cursor}&snapshot=true`)
      t.equal((await next(t, inbox, 'ready')).cursor, cursor)
      t.same((await changes(t, inbox, 1)).map(change => change.id), [missed.id])
      await next(t, inbox, 'synced')
    })

    t.test('a cursor of another log: an error and 4410, or a reset and a snapshot', async t => {
      const inbox = await subscribe(t, 'since=other.7')
      t.equal((await next(t, inbox, 'error')).code, 'gone')
      t.equal((await inbox.closed()).code, 4410)
      const viewer = await subscribe(t, `since=other.7&snapshot=true&${where({ age: 101 })}`)
      await next(t, viewer, 'ready')
      t.match((await next(t, viewer, 'reset')).reason, /another log/)
      t.equal((await next(t, viewer, 'snapshot')).records.length, 1)
      await next(t, viewer, 'synced')
    })

    t.test('a cursor ahead of the log is none of this log', async t => {
      const { cursor } = await people.create(ada)
      const inbox = await subscribe(t, `since=${cursor}0000`)
      t.equal((await next(t, inbox, 'error')).code, 'gone')
      t.equal((await inbox.closed()).code, 4410)
    })

    t.test('a filter message changes what is told, from its cursor on', async t => {
      const inbox = await subscribe(t)
      await next(t, inbox, 'ready')
      await next(t, inbox, 'synced')
      inbox.send({ type: 'filter', where: { age: { $gt: 65 } }, fields: ['age'] })
      const { filter, cursor } = await next(t, inbox, 'filtered')
      t.same(filter, { filter: 'all', where: { age: { $gt: 65 } }, fields: ['age'] })
      t.equal(cursor, (await request(`${origin}/people?limit=1`)).headers.get('change-cursor'))
      await people.create(ada)
      const one = await people.create(grace)
      t.same((await changes(t, inbox, 1))[0]?.record, { id: one.id, age: 79 })
      inbox.send({ type: 'filter', filter: 'deletes' })
      t.same((await next(t, inbox, 'filtered')).filter, { filter: 'deletes', where: { age: { $gt: 65 } }, fields: ['age'] })
      await people.patch(one.id, { age: 80 })
      await people.delete(one.id)
      t.equal((await changes(t, inbox, 1))[0]?.op, 'delete')
      inbox.send({ type: 'filter', filter: null, where: null, fields: null })
      t.same((await next(t, inbox, 'filtered')).filter, { filter: 'all', where: null, fields: null })
    })

    t.test('under a snapshot a new filter brings the difference at one cursor', async t => {
      const [young, middle, old] = await people.createAll([{ ...ada, age: 201 }, { ...ada, age: 202 }, { ...ada, age: 203 }])
      const inbox = await subscribe(t, `snapshot=true&${where({ age: { $in: [201, 202] } })}`)
      await next(t, inbox, 'ready')
      t.equal((await next(t, inbox, 'snapshot')).records.length, 2)
      await next(t, inbox, 'synced')
      inbox.send({ type: 'filter', where: { age: { $in: [202, 203] } } })
      const told = await changes(t, inbox, 2)
      const { cursor } = await next(t, inbox, 'filtered')
      const position = Number(cursor.split('.')[1])
      t.same(told.map(({ op, id, reason, position, version }) => ({ op, id, reason, position, version })).sort((a, b) => a.op < b.op ? -1 : 1), [
        { op: 'leave', id: young?.id, reason: 'filter', position, version: undefined },
        { op: 'save', id: old?.id, reason: undefined, position, version: old?.version }
      ])
      await people.delete(middle?.id ?? '')
      t.same((await changes(t, inbox, 1)).map(({ op, id }) => [op, id]), [['delete', middle?.id]])
      inbox.send({ type: 'filter', fields: ['job'] })
      t.same((await changes(t, inbox, 1)).map(({ op, record }) => [op, record]), [['save', { id: old?.id, job: ada.job }]], 'what is in view is told again with its new fields')
      await next(t, inbox, 'filtered')
    })

    t.test('a bad message is answered with an error, and the stream goes on', async t => {
      const inbox = await subscribe(t)
      await next(t, inbox, 'ready')
      await next(t, inbox, 'synced')
      for (const [message, code, named] of [
        ['saves', 'invalid-message', 'JSON'], ['7', 'invalid-message', 'type'], ['{}', 'invalid-message', 'type'],
        ['{"type":"sing"}', 'invalid-message', 'sing'], ['{"type":"filter","filter":"some"}', 'invalid-message', 'filter'],
        ['{"type":"filter","colour":1}', 'invalid-message', 'filter'], ['{"type":"filter","where":{"height":1}}', 'invalid-where', 'height'],
        ['{"type":"filter","fields":["height"]}', 'invalid-query', 'height']
      ] as const) {
        inbox.send(message)
        const error = await next(t, inbox, 'error')
        t.equal(error.code, code, message)
        t.match(error.message, named)
      }
      const one = await people.create(ada)
      t.same((await changes(t, inbox, 1)).map(change => change.id), [one.id])
    })

    t.test('too many bad messages end it with 4400', async t => {
      const inbox = await subscribe(t)
      for (let count = 0; count < 11; count++) inbox.send('bad')
      t.equal((await inbox.closed()).code, 4400)
      t.equal((JSON.parse(inbox.left().at(-1) ?? '{}') as Message).code, 'invalid-message')
    })

    t.test('too many filters before the first is applied end it with 4429', async t => {
      const inbox = await subscribe(t)
      for (let count = 0; count < 500; count++) inbox.socket.send(JSON.stringify({ type: 'filter', where: { age: count } }), { fin: true })
      const messages: Message[] = []
      await inbox.closed().then(({ code }) => t.ok(code === 4429))
      messages.push(...inbox.left().map(text => JSON.parse(text) as Message))
      t.equal(messages.at(-1)?.code, 'too-many')
    })

    t.test('stop ends it with 1000', async t => {
      const inbox = await subscribe(t)
      inbox.send({ type: 'stop' })
      t.equal((await inbox.closed()).code, 1000)
    })

    t.test('it is chosen among several subprotocols', async t => {
      const inbox = await connect(t, `${origin}/updates`, ['other', subprotocol])
      t.equal(inbox.socket.protocol, subprotocol)
      await next(t, inbox, 'ready')
    })
  })

  t.test(`a log over ${name} that was trimmed`, async t => {
    const app = await build(t, { repository: store(t, { count: 3, age: 0 }), tailSize: 1, cacheSize: 1 })
    const origin = await listen(app)
    const people = app.changeStreams.people
    const { cursor } = await people.create(ada)
    for (let age = 0; age < 10; age++) await people.create({ ...grace, age })
    while ((await people.log.changes(0, 100)).floor < 8) await new Promise(resolve => setTimeout(resolve, 5))
    const inbox = await connect(t, `${origin}/updates?since=${cursor}`, subprotocol)
    t.equal((await next(t, inbox, 'error')).code, 'gone')
    t.equal((await inbox.closed()).code, 4410)
    const viewer = await connect(t, `${origin}/updates?since=${cursor}&snapshot=true`, subprotocol)
    await next(t, viewer, 'ready')
    await next(t, viewer, 'reset')
    t.equal((await next(t, viewer, 'snapshot')).records.length, 11)
    await next(t, viewer, 'synced')
    const text = await connect(t, `${origin}/updates?since=${cursor}`)
    t.equal((await text.closed()).code, 4410)
    for (const accept of ['text/event-stream', 'application/json']) {
      const { status, body } = await request<{ status: number, type: string }>(`${origin}/updates?since=${cursor}`, 'GET', undefined, { accept })
      t.equal(status, 410)
      t.match(body.type, /gone$/)
    }
    const oldest = await connect(t, `${origin}/updates?since=start`, subprotocol)
    await next(t, oldest, 'ready')
    t.equal((await changes(t, oldest, 3)).length, 3)
    await next(t, oldest, 'synced')
  })
}

t.test('a quiet stream gets bookmarks, whose cursors move on with what it is not told', async t => {
  const app = await build(t, { heartbeat: 60 })
  const origin = await listen(app)
  const inbox = await connect(t, `${origin}/updates?${where({ age: 1 })}`, subprotocol)
  const { cursor } = await next(t, inbox, 'ready')
  await next(t, inbox, 'synced')
  t.equal((await next(t, inbox, 'bookmark')).cursor, cursor, 'moved on or not')
  const other = await app.changeStreams.people.create(ada)
  t.equal((await next(t, inbox, 'bookmark')).cursor, other.cursor)
  const again = await connect(t, `${origin}/updates?since=${other.cursor}`, subprotocol)
  await next(t, again, 'ready')
  await next(t, again, 'synced')
})

t.test('a server that goes away says bye with the cursor, then closes with 1001', async t => {
  const app = await build(t)
  const origin = await listen(app)
  const inbox = await connect(t, `${origin}/updates`, subprotocol)
  await next(t, inbox, 'ready')
  await next(t, inbox, 'synced')
  const { cursor } = await app.changeStreams.people.create(ada)
  await changes(t, inbox, 1)
  const closing = app.close()
  const bye = await next(t, inbox, 'bye')
  t.equal(bye.cursor, cursor)
  t.ok(bye.retryAfter >= 0 && bye.retryAfter <= 60_000)
  t.equal((await inbox.closed()).code, 1001)
  await closing
})

t.test('what clients send fits the published schema', async t => {
  for (const message of [{ type: 'stop' }, { type: 'filter' }, { type: 'filter', filter: 'saves', where: { age: 1 }, fields: ['age'] }, { type: 'filter', filter: null, where: null, fields: null }]) {
    t.ok(isClientMessage(message))
  }
  for (const message of [{ type: 'sing' }, { type: 'stop', now: true }, { type: 'filter', filter: 'some' }]) t.notOk(isClientMessage(message))
  t.same(Object.keys(jsonSchemas), ['Change', 'FilterState', 'ServerMessage', 'ClientMessage', 'FeedPage'])
})

t.test('bytes that are no WebSocket frames end the connection, and the server goes on', async t => {
  const app = await build(t)
  const origin = await listen(app)
  const socket = new RawSocket((app.server.address() as AddressInfo).port, '/updates')
  socket.socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
  await socket.ended()
  t.equal((await request(`${origin}/people`)).status, 200)
})

t.test('ready tells the filter as its own subscriber wrote it', async t => {
  const origin = await listen(await build(t))
  for (const where of [{ age: 1, job: 'a' }, { job: 'a', age: 1 }, { $and: [{ job: 'a' }, { age: 1 }] }]) {
    const inbox = await connect(t, `${origin}/updates?where=${encodeURIComponent(JSON.stringify(where))}`, subprotocol)
    t.equal(JSON.stringify((await inbox.nextJson<{ filter: { where: unknown } }>()).filter.where), JSON.stringify(where))
  }
})

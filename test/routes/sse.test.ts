import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { type IncomingMessage, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import Fastify, { type FastifyInstance } from 'fastify'
import { EventSource } from 'eventsource'
import t from 'tap'
import changeStream from '../../plugin/index.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { type Person, ada, build, grace, listen, request, sqliteOptions, stores, until } from '../helper.ts'
import { RawSocket } from '../raw-socket.ts'

interface Event { event?: string, id?: string, data?: string }

/** Server-sent events as they come over the wire. */
class Events {
  readonly response: IncomingMessage
  #text = ''
  #arrived: (() => void) | undefined
  ended = false

  constructor (response: IncomingMessage) {
    this.response = response
    response.setEncoding('utf8').on('data', chunk => {
      this.#text += chunk
      this.#arrived?.()
    }).on('close', () => {
      this.ended = true
      this.#arrived?.()
    })
  }

  static async open (t: { teardown: (end: () => void) => void }, url: string, headers: Record<string, string> = {}): Promise<Events> {
    const client = get(url, { headers: { accept: 'text/event-stream', ...headers } })
    t.teardown(() => client.destroy())
    const [response] = await once(client, 'response') as [IncomingMessage]
    return new Events(response)
  }

  async next (): Promise<Event> {
    for (;;) {
      const end = this.#text.indexOf('\n\n')
      if (end >= 0) {
        const block = this.#text.slice(0, end)
        this.#text = this.#text.slice(end + 2)
        return Object.fromEntries(block.split('\n').filter(line => line !== '').map(line => /^(\w+)(?:: ?(.*))?$/.exec(line)?.slice(1) ?? []))
      }
      if (this.ended) throw new Error('ended without a further event')
      await new Promise<void>(resolve => { this.#arrived = resolve })
    }
  }
}

for (const [name, store] of Object.entries(stores)) {
  t.test(`SSE over ${name}`, async t => {
    const app = await build(t, { repository: store(t) })
    const origin = await listen(app)
    const people = app.changeStreams.people

    t.test('each change is an event with its cursor as id', async t => {
      const events = await Events.open(t, `${origin}/updates`)
      t.equal(events.response.statusCode, 200)
      t.match(events.response.headers, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' })
      const ready = await events.next()
      t.equal(ready.event, 'ready')
      t.equal(JSON.parse(ready.data ?? '').cursor, ready.id)
      t.equal((await events.next()).event, 'synced')
      const one = await people.create(ada)
      const deleted = await people.delete(one.id)
      const save = await events.next()
      t.equal(save.event, 'save')
      t.equal(save.id, one.cursor)
      t.same(JSON.parse(save.data ?? '').record, one.record)
      t.match(await events.next(), { event: 'delete', id: deleted.cursor })
    })

    t.test('Last-Event-ID wins over since', async t => {
      const { cursor } = await people.create(ada)
      const missed = await people.create(grace)
      const events = await Events.open(t, `${origin}/updates?since=now`, { 'last-event-id': cursor })
      t.equal((await events.next()).id, cursor)
      t.match(await events.next(), { event: 'save', id: missed.cursor })
      t.equal((await events.next()).event, 'synced')
    })

    t.test('a snapshot has no ids to resume from before it is complete', async t => {
      const events = await Events.open(t, `${origin}/updates?snapshot=true&fields=age`)
      t.equal((await events.next()).id, undefined)
      const snapshot = await events.next()
      t.equal(snapshot.event, 'snapshot')
      t.equal(snapshot.id, undefined)
      t.ok(JSON.parse(snapshot.data ?? '').records.length > 0)
      const synced = await events.next()
      t.equal(synced.event, 'synced')
      t.equal(synced.id, JSON.parse(synced.data ?? '').cursor)
    })

    t.test('a cursor that is gone is a 410, or a reset that makes the browser forget it', async t => {
      const { status, headers } = await request(`${origin}/updates?since=other.1`, 'GET', undefined, { accept: 'text/event-stream' })
      t.equal(status, 410)
      t.match(headers.get('content-type'), 'application/problem+json')
      const events = await Events.open(t, `${origin}/updates?snapshot=true&fields=age`, { 'last-event-id': 'other.1' })
      t.equal((await events.next()).event, 'ready')
      const reset = await events.next()
      t.equal(reset.event, 'reset')
      t.ok('id' in reset && !reset.id)
      t.equal((await events.next()).event, 'snapshot')
    })

    t.test('a bad query is a 400', async t => {
      for (const query of ['colour=red', 'since=x', 'snapshot=yes', 'limit=1', 'wait=1', 'filter=x']) {
        t.equal((await request(`${origin}/updates?${query}`, 'GET', undefined, { accept: 'text/event-stream' })).status, 400, query)
      }
      t.equal((await request(`${origin}/updates`, 'GET', undefined, { accept: 'text/event-stream', 'last-event-id': 'x' })).status, 400)
      t.equal((await request(`${origin}/updates`, 'GET', undefined, { accept: 'text/html' })).status, 406)
    })
  })

  t.test(`the feed over ${name}`, async t => {
    interface Feed { changes: { op: string, id: string, position: number, record?: Person }[], cursor: string, more: boolean }
    const app = await build(t, { repository: store(t) })
    const origin = await listen(app)
    const people = app.changeStreams.people
    const feed = async (query: string): Promise<Feed> => (await request<Feed>(`${origin}/updates?${query}`)).body

    t.test('is a page of the log, at most limit long', async t => {
      const { cursor } = await people.create(ada)
      const saved = await people.createAll(Array.from({ length: 25 }, (_, age) => ({ ...ada, age })))
      const found: string[] = []
      let page = await feed(`since=${cursor}&limit=10`)
      for (let pages = 1; ; pages++, page = await feed(`since=${page.cursor}&limit=10`)) {
        found.push(...page.changes.map(change => change.id))
        if (page.more) continue
        t.equal(pages, 3)
        break
      }
      t.same(found, saved.map(one => one.id))
      t.same(await feed(`since=${page.cursor}`), { changes: [], cursor: page.cursor, more: false })
    })

    t.test('its cursor moves on over what is filtered out', async t => {
      const { cursor } = await people.create(ada)
      await people.createAll([ada, grace, ada])
      const last = await people.create(ada)
      const page = await feed(`since=${cursor}&where=${encodeURIComponent('{"age":{"$gt":65}}')}`)
      t.equal(page.changes.length, 1)
      t.equal(page.cursor, last.cursor)
      t.equal(page.more, false)
    })

    t.test('wait holds an empty page until something matches', async t => {
      const { cursor } = await people.create(ada)
      const waiting = feed(`since=${cursor}&wait=30&where=${encodeURIComponent('{"age":79}')}`)
      await people.create(ada)
      const one = await people.create(grace)
      const page = await waiting
      t.same(page.changes.map(change => change.id), [one.id])
      t.equal(page.cursor, one.cursor)
    })

    t.test('wait ends by itself', async t => {
      const started = performance.now()
      t.same((await feed('wait=1')).changes, [])
      t.ok(performance.now() - started >= 990)
    })

    t.test('a bad query is refused', async t => {
      for (const query of ['limit=0', 'limit=10001', 'wait=61', 'wait=x', 'since=x', 'snapshot=true', 'colour=red']) {
        t.equal((await request(`${origin}/updates?${query}`)).status, 400, query)
      }
    })
  })
}

t.test('curl reads the feed and waits', async t => {
  const app = await build(t)
  const origin = await listen(app)
  const curl = promisify(execFile)('curl', ['-s', `${origin}/updates?wait=30`])
  const timer = setInterval(() => { app.changeStreams.people.create(ada).catch(t.error) }, 20) // until curl has asked
  t.teardown(() => clearInterval(timer))
  const { stdout } = await curl
  t.equal(JSON.parse(stdout).changes.length, 1)
})

t.test('closing the app answers those who wait, says bye to events, and ends', async t => {
  const app = await build(t)
  const origin = await listen(app)
  const events = await Events.open(t, `${origin}/updates`)
  const waiting = request<{ changes: unknown[] }>(`${origin}/updates?wait=30`)
  t.equal((await events.next()).event, 'ready')
  t.equal((await events.next()).event, 'synced')
  await new Promise(resolve => setTimeout(resolve, 50)) // the request is under way
  const started = performance.now()
  await app.close()
  t.equal((await events.next()).event, 'bye')
  await until(() => events.ended)
  t.same((await waiting).body.changes, [])
  t.ok(performance.now() - started < 5000)
})

t.test('an EventSource that comes back while the app still closes is not sent away for good', async t => {
  const app = await build(t)
  const origin = await listen(app)
  const stuck = new RawSocket((app.server.address() as AddressInfo).port, '/updates') // closing takes as long as peers are given
  await once(stuck.socket, 'data')
  const events = await Events.open(t, `${origin}/updates`)
  const closing = app.close()
  while ((await events.next()).event !== 'bye');
  t.equal((await request(`${origin}/updates`)).status, 503, 'a feed is told')
  await t.rejects(fetch(`${origin}/updates`, { headers: { accept: 'text/event-stream' } }), TypeError, 'the connection is cut')
  await closing
})

t.test('an EventSource resumes by itself when the server is restarted in mid-stream', async t => {
  const options = sqliteOptions(t)
  const start = async (port: number): Promise<FastifyInstance> => {
    const app = Fastify({ forceCloseConnections: true })
    await app.register(changeStream, { repository: sqlite(options) })
    await app.listen({ port, host: '127.0.0.1' })
    return app
  }
  let app = await start(0)
  const { port } = app.server.address() as AddressInfo
  const source = new EventSource(`http://127.0.0.1:${port}/updates?since=start`)
  t.teardown(() => source.close())
  const seen: number[] = []
  let opened = 0
  source.addEventListener('ready', () => opened++)
  source.addEventListener('save', event => seen.push((JSON.parse(event.data as string) as { position: number }).position))
  let written = 0
  const write = async (count: number): Promise<void> => {
    for (let number = 0; number < count; number++) {
      await app.changeStreams.people.create(ada)
      written++
    }
  }
  for (let restart = 0; restart < 3; restart++) {
    await write(200)
    await until(() => opened > restart, 'the source to be open')
    const writing = write(200).catch(() => {}) // the server may be gone before the last is written
    await app.close()
    await writing
    app = await start(port)
    await write(100)
  }
  t.teardown(() => app.close())
  const { head } = await app.changeStreams.people.log.changes(0, 1)
  t.ok(head >= written)
  await until(() => seen.length >= head, 'all changes')
  await app.changeStreams.people.create(ada)
  await until(() => seen.length > head, 'a further change')
  t.same(seen, Array.from({ length: head + 1 }, (_, index) => index + 1))
  t.equal(opened, 4)
})

import { once } from 'node:events'
import { type ClientHttp2Session, constants } from 'node:http2'
import { type IncomingMessage, get } from 'node:http'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import t, { type Test } from 'tap'
import { sqlite } from '../../repository/sqlite.ts'
import { type Person, ada, build, connect, grace, listen, request, sqliteOptions } from '../helper.ts'
import { type Proxy, type ProxyKind, caddy, http2, nginx } from './proxy.ts'

const insecure = { rejectUnauthorized: false }

/** Two apps on one database, and a proxy in front of both. */
async function start (t: Test, kind: ProxyKind, { heartbeat = 15_000, edit = [] as readonly (readonly [string, string])[] } = {}): Promise<{ proxy: Proxy, apps: Awaited<ReturnType<typeof build>>[] }> {
  const options = sqliteOptions(t)
  const apps = [await build(t, { repository: sqlite(options), heartbeat }), await build(t, { repository: sqlite(options), heartbeat })]
  const proxy = await kind.start(t, await Promise.all(apps.map(listen)), edit)
  return { proxy, apps }
}

/** The text of a stream up to where a pattern matches it. */
async function readUntil (stream: Readable, pattern: RegExp): Promise<string> {
  let text = ''
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    text += chunk
    if (pattern.test(text)) return text
  }
  throw new Error(`ended without ${pattern}: ${text}`)
}

async function eventsOf (t: Test, url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const client = get(url, { headers: { accept: 'text/event-stream', ...headers } })
  t.teardown(() => client.destroy())
  const [response] = await once(client, 'response') as [IncomingMessage]
  return response
}

async function eventsOver (session: ClientHttp2Session, path: string): Promise<{ status: number, stream: Readable }> {
  const stream = session.request({ [constants.HTTP2_HEADER_PATH]: path, accept: 'text/event-stream' })
  const [headers] = await once(stream, 'response') as [{ ':status': number }]
  return { status: headers[':status'], stream }
}

for (const kind of [nginx, caddy]) {
  t.test(`behind ${kind.name}`, { skip: kind.missing }, async t => {
    t.test('a WebSocket is upgraded, says what it has to and closes as it should, with TLS and without', async t => {
      const { proxy, apps } = await start(t, kind)
      for (const origin of [proxy.origin, proxy.secure]) {
        const text = await connect(t, `${origin}/updates`, undefined, insecure)
        const json = await connect(t, `${origin}/updates?snapshot=true&where=${encodeURIComponent('{"age":{"$gte":65}}')}`, 'change-stream.v1', insecure)
        t.equal(json.socket.protocol, 'change-stream.v1')
        t.match(await json.nextJson(), { type: 'ready' })
        await apps[0]?.changeStreams.people.create(grace)
        t.match(await text.next(), /^Saved person .*"admiral"/)
        while ((await json.next()).includes('admiral') === false);
        text.send('stop')
        t.match(await text.closed(), { code: 1000 })
        json.send({ type: 'stop' })
        t.match(await json.closed(), { code: 1000 })
      }
    })

    t.test('each event comes as it happens, also where the proxy compresses what it can', async t => {
      const compress: readonly [string, string] = kind === nginx
        ? ['  location / {', '  gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0;\n  location / {']
        : ['\treverse_proxy', '\tencode gzip\n\treverse_proxy']
      const { proxy, apps } = await start(t, kind, { edit: [compress] })
      for (const accepted of ['gzip', 'identity']) {
        const response = await eventsOf(t, `${proxy.origin}/updates`, { 'accept-encoding': accepted })
        const events = response.headers['content-encoding'] === 'gzip' ? response.pipe(createGunzip()) : response
        await readUntil(events, /event: synced/)
        for (let age = 0; age < 3; age++) {
          await apps[1]?.changeStreams.people.create({ ...ada, age })
          t.match(await readUntil(events, /event: save\n[\s\S]*\n\n/), `"age":${age}`)
        }
      }
    })

    t.test('HTTP/2 carries more event streams to one host than the six of HTTP/1.1', async t => {
      const { proxy, apps } = await start(t, kind)
      const session = await http2(t, proxy)
      const streams = await Promise.all(Array.from({ length: 12 }, () => eventsOver(session, '/updates')))
      t.ok(streams.every(({ status }) => status === 200))
      await Promise.all(streams.map(({ stream }) => readUntil(stream, /event: synced/)))
      await apps[0]?.changeStreams.people.create(grace)
      for (const { stream } of streams) t.match(await readUntil(stream, /event: save\n[\s\S]*\n\n/), 'admiral')
    })

    t.test('a feed waits for the next change', async t => {
      const { proxy, apps } = await start(t, kind)
      const { body: { cursor } } = await request<{ cursor: string }>(`${proxy.origin}/updates`)
      const waiting = request<{ changes: object[] }>(`${proxy.origin}/updates?since=${cursor}&wait=60`)
      await apps[0]?.changeStreams.people.create(grace)
      t.equal((await waiting).body.changes.length, 1)
    })

    t.test('a body up to the limit of the app gets through, and a larger one is refused in our words', async t => {
      const { proxy, apps } = await start(t, kind)
      const limit = apps[0]?.initialConfig.bodyLimit ?? 0
      const batch = (bytes: number): string => {
        const records = Array.from({ length: 10 }, () => ({ ...ada, job: 'x'.repeat(50_000) }))
        const short = JSON.stringify(records).length
        return JSON.stringify([...records.slice(1), { ...ada, job: 'x'.repeat(50_000 + bytes - short) }])
      }
      t.equal((await request(`${proxy.origin}/people`, 'POST', batch(limit))).status, 201)
      let refused = await request(`${proxy.origin}/people`, 'POST', batch(limit + 1))
      // the answer comes before the body's end, and a proxy that has yet to send that may find the connection reset
      for (let tries = 1; refused.status === 502 && tries < 20; tries++) refused = await request(`${proxy.origin}/people`, 'POST', batch(limit + 1))
      t.equal(refused.status, 413)
      t.match(refused.headers.get('content-type'), 'application/problem+json')
    })

    t.test('a long query gets through, and so does the Link that repeats it', async t => {
      const { proxy, apps } = await start(t, kind)
      await apps[0]?.changeStreams.people.createAll(Array.from({ length: 3 }, () => ({ ...ada, job: 'x'.repeat(3000) })))
      const long = { job: { $in: Array.from({ length: 4 }, (_, index) => `${'x'.repeat(2999)}${index === 0 ? 'x' : index}`) } }
      const query = `where=${encodeURIComponent(JSON.stringify(long))}&sort=job&limit=1`
      t.ok(query.length > 12_000)
      for (let repeat = 0; repeat < 4; repeat++) {
        const { status, headers } = await request<Person[]>(`${proxy.origin}/people?${query}`)
        t.equal(status, 200)
        t.ok((headers.get('link')?.length ?? 0) > query.length)
      }
      t.equal((await request(`${proxy.origin}/people`)).status, 200, 'and no server is taken for a failed one')
    })
  })
}

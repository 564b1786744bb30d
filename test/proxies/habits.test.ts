import { once } from 'node:events'
import { type AddressInfo, connect as connectTo, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import t, { type Test } from 'tap'
import { memory } from '../../plugin/index.ts'
import { ada, build, connect, grace, listen, request } from '../helper.ts'
import { caddy, nginx } from './proxy.ts'

/** Stands before a server and passes all on, but for the answers to its next requests when it is told so: it hangs up on who asked. */
async function forgetful (t: Test, origin: string): Promise<{ origin: string, forget: (answers: number) => void }> {
  let left = 0
  const server = createServer(client => {
    const upstream = connectTo(Number(new URL(origin).port), '127.0.0.1')
    const end = (): void => {
      client.destroy()
      upstream.destroy()
    }
    client.on('close', end).on('error', end).on('data', data => upstream.write(data))
    upstream.on('close', end).on('error', end).on('data', data => left-- > 0 ? end() : client.write(data))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, forget: answers => { left = answers } }
}

t.test('nginx sends a PUT or a DELETE again when the answer is lost, and a POST or a PATCH never', { skip: nginx.missing }, async t => {
  const app = await build(t)
  const { people } = app.changeStreams
  const upstream = await forgetful(t, await listen(app))
  const { origin } = await nginx.start(t, [upstream.origin, upstream.origin])
  const ask = async (method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<number> => {
    upstream.forget(1)
    const { status } = await request(`${origin}${path}`, method, body, headers)
    upstream.forget(0)
    return status
  }
  const logged = async (write: () => Promise<number>): Promise<[status: number, changes: number]> => {
    const before = people.log.position
    return [await write(), people.log.position - before]
  }
  const { record: { id }, version } = await people.create(ada)
  t.same(await logged(async () => await ask('GET', `/people/${id}`)), [200, 0])
  t.same(await logged(async () => await ask('POST', '/people', grace)), [502, 1])
  t.same(await logged(async () => await ask('PATCH', `/people/${id}`, { age: 37 })), [502, 1])
  t.same(await logged(async () => await ask('PUT', `/people/${id}`, { ...ada, age: 38 })), [200, 1], 'the second is no change')
  const { version: now = '' } = await people.get(id) ?? {}
  t.not(now, version)
  t.same(await logged(async () => await ask('PUT', `/people/${id}`, { ...ada, age: 39 }, { 'if-match': `"${now}"` })), [412, 1])
  t.same(await logged(async () => await ask('DELETE', `/people/${id}`)), [404, 1])
})

t.test('Caddy sends no write again when the answer is lost', { skip: caddy.missing }, async t => {
  const app = await build(t)
  const { people } = app.changeStreams
  const { record: { id } } = await people.create(ada)
  const direct = await listen(app)
  const upstream = await forgetful(t, direct)
  const { origin } = await caddy.start(t, [upstream.origin, upstream.origin], [['\t\thealth_uri /people?limit=1\n\t\thealth_interval 1s\n', '']])
  for (const [method, path, body] of [['POST', '/people', grace], ['PATCH', `/people/${id}`, { age: 37 }], ['PUT', `/people/${id}`, { ...ada, age: 38 }], ['DELETE', `/people/${id}`]] as const) {
    const before = people.log.position
    upstream.forget(1)
    t.equal((await request(`${origin}${path}`, method, body)).status, 502, method)
    upstream.forget(0)
    t.equal(people.log.position - before, 1, method)
  }
})

for (const kind of [nginx, caddy]) {
  t.test(`behind ${kind.name}`, { skip: kind.missing }, async t => {
    t.test('a stream on which nothing happens is kept open by its heartbeat, for each reader', async t => {
      const shorter: readonly (readonly [string, string])[] = kind === nginx ? [['proxy_read_timeout 75s', 'proxy_read_timeout 2s']] : []
      const app = await build(t, { heartbeat: 300 })
      const { origin } = await kind.start(t, [await listen(app)], shorter)
      const text = await connect(t, `${origin}/updates`)
      const json = await connect(t, `${origin}/updates`, 'change-stream.v1')
      const events = await fetch(`${origin}/updates`, { headers: { accept: 'text/event-stream' } })
      for (let bookmarks = 0; bookmarks < 8;) if ((await json.nextJson())['type'] === 'bookmark') bookmarks++
      await app.changeStreams.people.create(grace)
      t.match(await text.next(), 'admiral')
      let heard = ''
      for await (const chunk of events.body ?? []) {
        heard += Buffer.from(chunk as Uint8Array).toString()
        if (heard.includes('admiral')) break
      }
      t.match(heard, /event: synced[\s\S]*event: save/)
    })

    t.test('a server is reached over IPv6', { skip: !Object.values(networkInterfaces()).flat().some(address => address?.address === '::1') && 'needs IPv6' }, async t => {
      const app = await build(t, { repository: memory() })
      await app.listen({ port: 0, host: '::1' })
      const { origin } = await kind.start(t, [`http://[::1]:${(app.server.address() as AddressInfo).port}`])
      const json = await connect(t, `${origin}/updates`, 'change-stream.v1')
      t.match(await json.nextJson(), { type: 'ready' })
      t.equal((await request(`${origin}/people`, 'POST', ada)).status, 201)
    })
  })
}

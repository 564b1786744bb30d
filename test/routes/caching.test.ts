import t from 'tap'
import { ada, build, listen, request } from '../helper.ts'

const events = { accept: 'text/event-stream' }

t.test('what is read is asked for again each time, and the stream and refusals are not kept', async t => {
  const app = await build(t)
  const origin = await listen(app)
  const { id } = await app.changeStreams.people.create(ada)
  const { headers } = await request(`${origin}/people/${id}`)
  const tag = headers.get('etag') ?? ''
  const stale = `${origin}/updates?since=AAAAAAAAAAAA.1`
  const asks = [
    ['/people', 200, 'no-cache', {}], ['/people?limit=1', 200, 'no-cache', {}], [`/people/${id}`, 200, 'no-cache', {}], [`/people/${id}`, 304, 'no-cache', { 'if-none-match': tag }],
    ['/people?limit=x', 400, 'no-store', {}], ['/people/01a204d7-4d29-7119-9c28-9c5307d11442', 404, 'no-store', {}], [`/people/${id}`, 412, 'no-store', { 'if-match': '"x"' }],
    ['/updates', 200, 'no-store', {}], ['/updates?colour=red', 400, 'no-store', {}], ['/updates', 406, 'no-store', { accept: 'image/png' }], [stale.slice(origin.length), 410, 'no-store', {}],
    ['/updates?colour=red', 400, 'no-store', events], [stale.slice(origin.length), 410, 'no-store', events]
  ] as const
  for (const method of ['GET', 'HEAD']) {
    for (const [path, status, directive, sent] of asks) {
      const answer = await request(`${origin}${path}`, method, undefined, sent)
      t.same([answer.status, answer.headers.get('cache-control')], [status, directive], `${method} ${path}`)
    }
    t.equal((await fetch(`${origin}/updates`, { method, headers: events, signal: AbortSignal.timeout(60_000) })).headers.get('cache-control'), 'no-store', `${method} of events`)
  }
})

t.test('what a hook of the app says of caching is left as it is', async t => {
  const app = await build(t)
  app.addHook('onRequest', async (_, reply) => { reply.header('cache-control', 'private') })
  const origin = await listen(app)
  const { id } = await app.changeStreams.people.create(ada)
  for (const path of ['/people', `/people/${id}`, '/people?limit=x', '/updates', '/updates?colour=red']) {
    t.equal((await request(`${origin}${path}`)).headers.get('cache-control'), 'private', path)
  }
  t.equal((await fetch(`${origin}/updates`, { headers: events })).headers.get('cache-control'), 'private', 'events')
})

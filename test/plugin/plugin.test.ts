import { EventEmitter, once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { type AddressInfo, connect as connectTcp } from 'node:net'
import websocket from '@fastify/websocket'
import { type Static, Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import changeStream from '../../plugin/index.ts'
import { subprotocol } from '../../protocol/index.ts'
import { memory } from '../../repository/memory.ts'
import { Inbox, type Person, ada, build, connect, grace, listen, refusedUpgrade, request, stores } from '../helper.ts'

const Order = Type.Object({ customer: Type.String({ minLength: 1 }), total: Type.Number({ minimum: 0 }), status: Type.Union([Type.Literal('open'), Type.Literal('paid')]) })

declare module '../../plugin/index.ts' {
  interface ChangeStreams { orders: typeof Order }
}

const order: Static<typeof Order> = { customer: 'Ada', total: 9.5, status: 'open' }

t.test('registered without options it serves people', async t => {
  const app = await build(t)
  const origin = await listen(app)
  const inbox = await connect(t, `${origin}/updates`)
  const { body } = await request<Person>(`${origin}/people`, 'POST', ada)
  t.equal(await inbox.next(), `Saved person [${body.id}] ${JSON.stringify(body)}`)
  t.ok(app.changeStreams.people)
})

for (const [name, store] of Object.entries(stores)) {
  t.test(`several resources over ${name}, each with its paths, its log and its type`, async t => {
    const app = await build(t, { repository: store(t) })
    await app.register(changeStream, { resource: { name: 'orders', noun: 'order', schema: Order }, repository: store(t), prefix: '/shop', updatesPath: '/orders/updates' })
    const origin = await listen(app)
    const people = await connect(t, `${origin}/updates`)
    const orders = await connect(t, `${origin}/shop/orders/updates`)
    const { record } = await app.changeStreams.orders.save(order)
    const total: number = record.total
    t.equal(total, 9.5)
    t.equal(await orders.next(), `Saved order [${record.id}] ${JSON.stringify(record)}`)
    const { headers, body } = await request<Person>(`${origin}/people`, 'POST', ada)
    t.equal(headers.get('location'), `/people/${body.id}`)
    t.match(await people.next(), 'Ada')
    const posted = await request<{ id: string }>(`${origin}/shop/orders`, 'POST', order)
    t.equal(posted.headers.get('location'), `/shop/orders/${posted.body.id}`)
    t.same((await request(`${origin}/shop/orders`)).body, [record, posted.body])
    t.match(await orders.next(), posted.body.id)
    t.equal((await request(`${origin}/shop/orders`, 'POST', { ...order, status: 'lost' })).status, 400)
    t.equal((await request(`${origin}/orders`)).status, 404)
    t.same(await people.rest(), [])
  })
}

t.test('each scope has its own streams, and sees those of its parents', async t => {
  const app = await build(t)
  let inner: FastifyInstance | undefined
  await app.register(async scope => {
    await scope.register(changeStream, { resource: { name: 'orders', schema: Order } })
    inner = scope
  }, { prefix: '/v1' })
  const origin = await listen(app)
  t.same(Object.keys(app.changeStreams), ['people'])
  t.same(Object.keys(inner?.changeStreams ?? {}), ['people', 'orders'])
  t.equal((await request(`${origin}/v1/orders`, 'POST', order)).status, 201)
  const inbox = await connect(t, `${origin}/v1/updates`)
  await inner?.changeStreams.orders.save(order)
  t.match(await inbox.next(), /^Saved orders \[/)
})

t.test('bad options throw when they are registered: which, what was expected, what was given', async t => {
  for (const [options, message] of [
    [{ heartbeat: 0 }, /"heartbeat".*got 0/], [{ heartbeat: '15s' }, /"heartbeat".*got '15s'/], [{ path: 'people' }, /"path".*got 'people'/],
    [{ colour: 'red' }, /"colour".*got 'red'/], [{ maxBatch: 1.5 }, /"maxBatch".*got 1.5/], [{ repository: 'memory' }, /"repository".*memory\(\).*got 'memory'/],
    [{ resource: 'people' }, /"resource".*got 'people'/], [{ resource: { name: 'a b', schema: Order } }, /"resource.name".*got 'a b'/],
    [{ resource: { name: 'orders' } }, /"resource.schema"/], [{ resource: { name: 'orders', schema: Type.String() } }, /schema must describe an object/],
    [{ resource: { name: 'orders', schema: Type.Object({ id: Type.String() }) } }, /"id"/],
    [{ resource: { name: 'orders', schema: Type.Object({ at: Type.String({ format: 'moonphase' }) }) } }, /moonphase/],
    [{ resource: { name: 'orders', schema: Type.Object({ at: Type.Date() }) } }, /schema/]
  ] as const) {
    const app = Fastify()
    t.teardown(() => app.close())
    await t.rejects(async () => { await app.register(changeStream, options as never) }, { message }, JSON.stringify(options))
  }
  const twice = await build(t)
  await t.rejects(async () => { await twice.register(changeStream) }, { message: /"people" is registered already/ })
  const clash = await build(t)
  await t.rejects(async () => {
    await clash.register(changeStream, { resource: { name: 'orders', schema: Order } })
    await clash.ready()
  }, { message: /\/updates/ })
})

/** An app with everything of its own. */
async function ownApp (when: 'before' | 'after' | 'never', withPlugin = true): Promise<FastifyInstance> {
  const app = Fastify({
    ajv: { customOptions: { coerceTypes: 'array', removeAdditional: 'all', useDefaults: true } },
    bodyLimit: 10_000
  })
  const sockets = async (): Promise<void> => {
    await app.register(websocket)
    await app.register(async scope => {
      scope.get('/echo', { websocket: true }, socket => { socket.on('message', data => socket.send(`echo ${String(data)}`)) })
    })
  }
  app.decorate('mine', 'app').decorateRequest('mine', null).decorateReply('mine', null)
  app.setErrorHandler(async (error, _request, reply) => await reply.code(418).send({ mine: (error as Error).message }))
  app.setNotFoundHandler(async (_request, reply) => await reply.code(404).send({ mine: 'nothing here' }))
  app.setReplySerializer(payload => JSON.stringify({ wrapped: payload }))
  app.setSchemaErrorFormatter(() => new Error('my formatter'))
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-mine', request.url)
    if (request.headers['x-refuse'] !== undefined) await reply.code(401).header('content-type', 'text/plain').send('not you')
    if (request.headers['x-throw'] !== undefined) throw Object.assign(new Error('thrown'), { statusCode: 403 })
  })
  app.addHook('onSend', async (_request, reply, payload) => {
    reply.header('x-sent', 'yes')
    return payload
  })
  app.addContentTypeParser('text/csv', { parseAs: 'string' }, (_request, body, done) => done(null, String(body).split(',')))
  if (when === 'before') await sockets()
  if (withPlugin) await app.register(changeStream)
  if (when === 'after') await sockets()
  app.get('/coerce', { schema: { querystring: { type: 'object', properties: { n: { type: 'integer', default: 7 } } } } }, async request => request.query)
  app.post('/csv', async request => request.body)
  app.post('/loose', { schema: { body: { type: 'object', properties: { a: { type: 'integer' } } } } }, async request => request.body)
  app.get('/fail', async () => { throw new Error('mine') })
  return app
}

for (const when of ['before', 'after', 'never'] as const) {
  t.test(`an app with everything of its own (WebSockets ${when}) keeps it, and the plugin does as it always does`, async t => {
    const app = await ownApp(when)
    t.teardown(() => app.close())
    const origin = await listen(app)

    t.test('what is the app\'s stays as it was', async t => {
      const without = await ownApp(when, false)
      t.teardown(() => without.close())
      const control = await listen(without)
      for (const [path, method, body, type = 'application/json'] of [
        ['/coerce?n=5&other=1'], ['/coerce'], ['/coerce?n=x'], ['/csv', 'POST', 'a,b', 'text/csv'], ['/csv', 'POST', '{}', 'application/merge-patch+json'],
        ['/loose', 'POST', { a: '5', b: 1 }], ['/loose', 'POST', { a: 'x' }], ['/loose', 'POST', '{"a":'], ['/fail'], ['/nowhere'], ['/nowhere', 'POST', {}], ['/fail', 'DELETE']
      ] as const) {
        const [one, other] = await Promise.all([control, origin].map(at => request(`${at}${path}`, method, body, body === undefined ? {} : { 'content-type': type })))
        t.equal(other?.text, one?.text, path)
        t.equal(other?.status, one?.status)
        t.same([...other?.headers.keys() ?? []], [...one?.headers.keys() ?? []])
      }
      t.same((await request(`${origin}/coerce?n=5&other=1`)).body, { wrapped: { n: 5 } })
      t.equal(app.hasDecorator('websocketServer'), without.hasDecorator('websocketServer'))
      t.equal(app.hasRequestDecorator('ws'), without.hasRequestDecorator('ws'))
      if (when === 'never') return
      const echo = await connect(t, `${origin}/echo`)
      echo.send('hi')
      t.equal(await echo.next(), 'echo hi')
    })

    t.test('what is the plugin\'s is as strict as ever', async t => {
      const created = await request<Person>(`${origin}/people`, 'POST', ada)
      t.equal(created.status, 201)
      t.same(created.body, { id: created.body.id, ...ada }, 'no serializer wraps it')
      t.equal(created.headers.get('x-mine'), '/people', 'its hooks run')
      t.equal(created.headers.get('x-sent'), 'yes')
      for (const bad of [{ ...ada, age: '36' }, { ...ada, more: 1 }, { ...ada, age: [36] }]) {
        const { status, headers } = await request(`${origin}/people`, 'POST', bad)
        t.equal(status, 400)
        t.match(headers.get('content-type'), 'application/problem+json')
      }
      t.equal((await request(`${origin}/people`, 'POST', 'a,b', { 'content-type': 'text/csv' })).status, 415)
      t.match(await request(`${origin}/people/nobody`), { status: 404, body: { title: 'No such record' } })
      t.equal((await request(`${origin}/people`, 'POST', { ...ada, job: 'x'.repeat(10_000) })).status, 413, 'its body limit holds')
      const inbox = await connect(t, `${origin}/updates`)
      await app.changeStreams.people.create(grace)
      t.match(await inbox.next(), 'Grace')
    })

    t.test('what its hooks refuse is refused, REST and socket, before the upgrade', async t => {
      t.match(await request(`${origin}/people`, 'GET', undefined, { 'x-refuse': '1' }), { status: 401, text: 'not you' })
      t.match(await request(`${origin}/people`, 'GET', undefined, { 'x-throw': '1' }), { status: 403, body: { status: 403, detail: 'thrown' } })
      for (const [header, status] of [['x-refuse', 401], ['x-throw', 403]] as const) {
        t.equal((await refusedUpgrade(`${origin}/updates`, undefined, { headers: { [header]: '1' } })).status, status)
      }
    })

    t.test('an upgrade of a REST route is refused, and its socket closed', async t => {
      for (const path of ['/people', '/people/01a204d7-4d29-7119-9c28-9c5307d11442']) {
        const { status, body } = await refusedUpgrade(`${origin}${path}`)
        t.equal(status, 400)
        t.match(JSON.parse(body), { type: 'urn:problem:change-stream:upgrade-refused', status: 400 })
      }
    })

    // an app with WebSockets of its own has its own way with them
    if (when === 'never') {
      t.test('another upgrade than to a WebSocket is ignored', async t => {
        const { port } = app.server.address() as AddressInfo
        for (const [method, path, body, expected] of [['GET', '/coerce?n=3', '', '{"wrapped":{"n":3}}'], ['POST', '/loose', '{"a":1}', '{"wrapped":{"a":1}}']] as const) {
          const client = httpRequest({ port, method, path, headers: { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAoAAAAAIAAAAA', ...(body !== '' && { 'content-type': 'application/json', 'content-length': body.length }) } })
          client.end(body)
          const [response] = await once(client, 'response')
          let text = ''
          for await (const chunk of response) text += chunk
          t.equal(text, expected)
        }
      })
    }

    t.test('closing twice is safe, and ends every socket', async t => {
      const inbox = await connect(t, `${origin}/updates`)
      await Promise.all([app.close(), app.close()])
      t.equal((await inbox.closed()).code, 1001)
      await t.rejects(app.changeStreams.people.create(ada), { code: 'unavailable' })
    })
  })
}

t.test('the app\'s own listener for upgrades gets those that are not the stream\'s', async t => {
  const app = await build(t)
  app.server.on('upgrade', (request, socket) => {
    if (request.url === '/own') socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\n')
  })
  const origin = await listen(app)
  const { port } = app.server.address() as AddressInfo
  const socket = connectTcp(port, '127.0.0.1')
  socket.write('GET /own HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\n')
  const [answer] = await once(socket, 'data')
  t.match(String(answer), 'HTTP/1.1 101')
  socket.destroy()
  await connect(t, `${origin}/updates`)
})

t.test('a stream with a path of other spelling is found as Fastify finds it', async t => {
  const app = Fastify({ routerOptions: { ignoreTrailingSlash: true, caseSensitive: false } })
  t.teardown(() => app.close())
  await app.register(changeStream)
  const origin = await listen(app)
  for (const path of ['/updates', '/updates/', '/Updates', '/updates?filter=all']) await connect(t, `${origin}${path}`)
  t.equal((await request(`${origin}/people/`, 'POST', ada)).headers.get('location')?.startsWith('/people/0'), true)
})

t.test('injectWS reaches the stream, if the app has it', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  await app.register(changeStream)
  await app.ready()
  const messages: string[] = []
  const socket = await app.injectWS('/updates', {}, { onInit: socket => { socket.on('message', data => messages.push(String(data))) } })
  socket.send('saves')
  socket.ping()
  await once(socket, 'pong')
  const { id } = await app.changeStreams.people.create(ada)
  await app.changeStreams.people.delete(id)
  await app.changeStreams.people.create({ ...ada, job: 'x'.repeat(200_000) })
  while (messages.length < 2) await new Promise(resolve => setTimeout(resolve, 5))
  t.ok(messages.every(message => message.startsWith('Saved person')))
  socket.send('stop')
  const [code] = await once(socket, 'close')
  t.equal(code, 1000)
})

t.test('a store that does not open makes register fail', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(async () => { await app.register(changeStream, { repository: async () => { throw new Error('no disk') } }) }, { message: 'no disk' })
})

t.test('a store that is down is answered with 503, before any upgrade, and its reason is not told', async t => {
  const app = await build(t, { repository: memory() })
  const origin = await listen(app)
  await app.changeStreams.people.close()
  for (const [path, method, body] of [['/people', 'GET'], ['/people', 'POST', ada], ['/updates', 'GET']] as const) {
    const answer = await request<{ detail: string }>(`${origin}${path}`, method, body)
    t.equal(answer.status, 503)
    t.notMatch(answer.body.detail, 'closed')
  }
  t.equal((await refusedUpgrade(`${origin}/updates`)).status, 503)
})

t.test('closing while requests are under way answers each of them', async t => {
  const app = await build(t, { repository: stores['sqlite']?.(t) ?? memory() })
  const origin = await listen(app)
  const answers = Array.from({ length: 50 }, () => request(`${origin}/people`, 'POST', ada).catch(() => null))
  await new Promise(resolve => setTimeout(resolve, 15))
  await app.close()
  for (const answer of await Promise.all(answers)) t.ok(answer === null || [201, 503].includes(answer.status))
})

t.test('a stream that opens while the app closes is told goodbye', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const asked = new EventEmitter()
  app.addHook('onRequest', async () => {
    const proceed = once(asked, 'proceed')
    asked.emit('asked')
    await proceed
  })
  await app.register(changeStream)
  const url = `${await listen(app)}/updates`
  const arrived = once(asked, 'asked')
  const inbox = new Inbox(url, subprotocol)
  await arrived
  const closing = app.close()
  await new Promise(resolve => setImmediate(resolve))
  asked.emit('proceed')
  await closing
  t.ok([1001, 1006].includes((await inbox.closed()).code))
})

t.test('what a hook of the app refuses keeps its status', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.addHook('onRequest', async () => { throw Object.assign(new Error('the secret cause'), { statusCode: 503 }) })
  await app.register(changeStream)
  const { status, body, text } = await request(`${await listen(app)}/people`)
  t.equal(status, 503)
  t.match(body, { title: 'Service Unavailable', status: 503 })
  t.notMatch(text, 'secret')
})

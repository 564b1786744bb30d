import { EventEmitter, once } from 'node:events'
import type { IncomingMessage, Server } from 'node:http'
import { type AddressInfo, type Socket, connect as connectTcp } from 'node:net'
import { type Duplex, Readable } from 'node:stream'
import { promisify } from 'node:util'
import websocket from '@fastify/websocket'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import { WebSocketServer } from 'ws'
import changeStream, { type ChangeStreamOptions } from '../../plugin/index.ts'
import { Inbox, ada, connect, listen, refusedUpgrade, request, until } from '../helper.ts'

const asks = ['Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']

/** How many connections a server holds. */
async function open ({ server }: FastifyInstance): Promise<number> {
  return await promisify(server.getConnections.bind(server) as Server['getConnections'])()
}

/** Sends lines of a head and more, and tells the first line of the answer when the server has closed the connection. */
async function ask (port: number, head: readonly string[], body = ''): Promise<string> {
  const socket = connectTcp({ port, host: '127.0.0.1' })
  let answer = ''
  socket.setEncoding('latin1').on('data', chunk => { answer += chunk }).on('error', () => {})
  socket.write([...head, '', body].join('\r\n'))
  await once(socket, 'close')
  return answer.split('\r\n', 1)[0] ?? ''
}

/** An app with the plugin under `/api`, routes of its own, and a room for whom else it listens. */
async function start (t: Test, around: { before?: (app: FastifyInstance) => Promise<unknown>, after?: (app: FastifyInstance) => Promise<unknown> } = {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await around.before?.(app)
  await app.register(changeStream, { prefix: '/api' })
  await around.after?.(app)
  app.get('/own', async () => 'mine')
  app.post('/own', async request => request.body)
  app.get('/fails', async () => { throw new Error('mine') })
  await listen(app)
  return app
}

async function echoes (app: FastifyInstance): Promise<void> {
  await app.register(websocket)
  await app.register(async scope => { scope.get('/echo', { websocket: true }, socket => { socket.on('message', data => socket.send(String(data))) }) })
}

const neighbours = { 'no other WebSockets': {}, 'its own @fastify/websocket before': { before: echoes }, 'its own @fastify/websocket after': { after: echoes } } as const

for (const [name, around] of Object.entries(neighbours)) {
  t.test(`in an app with ${name}, each upgrade is answered, and where that is not 101 its connection is closed`, async t => {
    const app = await start(t, around)
    const { port } = app.server.address() as AddressInfo
    const heads: string[][] = []
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']) {
      for (const path of ['/api/updates', '/api/updates?colour=red', '/api/people', '/api/people/01a204d7-4d29-7119-9c28-9c5307d11442', '/own', '/fails', '/nowhere', '/%zz', `/api/people/${'x'.repeat(200)}`]) {
        for (const origin of ['', 'http://x']) {
          for (const accept of ['*/*', 'text/event-stream']) {
            if (method === 'GET' && path === '/api/updates') continue // it opens
            if (method === 'GET' && name !== 'no other WebSockets' && ['/own', '/fails'].includes(path)) continue // opened by @fastify/websocket, to be closed at once
            heads.push([`${method} ${origin}${path} HTTP/1.1`, ...asks, `Accept: ${accept}`])
          }
        }
      }
    }
    for (const head of heads) t.match(await ask(port, head), /^HTTP\/1.1 [2345]\d\d /, String(head[0]))
    for (let turn = 0; turn < 1000; turn += 50) {
      await Promise.all(Array.from({ length: 50 }, async (_, index) => await ask(port, heads[(turn + index) % heads.length] ?? [])))
    }
    t.equal(await open(app), 0)
    for (const accept of ['*/*', 'text/event-stream']) {
      const socket = connectTcp({ port, host: '127.0.0.1' })
      socket.write(['GET http://x/api/updates HTTP/1.1', ...asks, `Accept: ${accept}`, '', ''].join('\r\n'))
      t.match(String((await once(socket, 'data'))[0]), /^HTTP\/1.1 101 /, 'in absolute-form, too')
      socket.destroy()
    }
    await until(async () => await open(app) === 0)
    const closing = performance.now()
    await app.close()
    t.ok(performance.now() - closing < 900, 'and nothing is waited for')
  })
}

t.test('a body that comes with an upgrade that is ignored is read as ever', async t => {
  const app = await start(t)
  const { port } = app.server.address() as AddressInfo
  for (const name of ['websocket', 'h2c']) {
    const socket = connectTcp({ port, host: '127.0.0.1' })
    socket.write(['POST /own HTTP/1.1', 'Host: x', 'Connection: Upgrade', `Upgrade: ${name}`, 'Content-Type: application/json', 'Content-Length: 7', '', '{"a":'].join('\r\n'))
    await new Promise(resolve => setImmediate(resolve))
    socket.write('1}')
    t.match(String((await once(socket, 'data'))[0]), /^HTTP\/1.1 200 OK[^]*\{"a":1\}$/, name)
    socket.destroy()
  }
  await until(async () => await open(app) === 0)
})

/** An app of which a hook waits until it is told to go on. */
async function startSlow (t: Test): Promise<{ app: FastifyInstance, hook: EventEmitter }> {
  const hook = new EventEmitter()
  const app = await start(t, {
    before: async app => {
      app.addHook('onRequest', async () => {
        const proceed = once(hook, 'proceed')
        hook.emit('asked')
        await proceed
      })
    }
  })
  return { app, hook }
}

const leavings: Readonly<Record<string, (socket: Socket) => void>> = {
  'resets the connection': socket => socket.resetAndDestroy(),
  'closes it': socket => socket.destroy(),
  'closes its half': socket => socket.end()
}

for (const path of ['/api/updates', '/api/people', '/nowhere']) {
  for (const [what, leave] of Object.entries(leavings)) {
    t.test(`a peer that has asked to upgrade ${path} and ${what} while a hook is under way leaves nothing behind`, async t => {
      const { app, hook } = await startSlow(t)
      const { port } = app.server.address() as AddressInfo
      for (let turn = 0; turn < 20; turn++) {
        const asked = once(hook, 'asked')
        const socket = connectTcp({ port, host: '127.0.0.1' })
        socket.on('error', () => {}).resume()
        socket.write([`GET ${path} HTTP/1.1`, ...asks, '', ''].join('\r\n'))
        await asked
        leave(socket)
        if (!socket.destroyed) await once(socket, 'finish')
        hook.emit('proceed')
      }
      await until(async () => await open(app) === 0, 'the last connection to be closed')
    })
  }
}

interface Behind { readonly title: string, readonly lines: readonly string[], readonly body?: string, readonly answer: RegExp, readonly ends: 'closed' | 'upgraded' | 'reused' }

const behind: readonly Behind[] = [
  { title: 'to a stream', lines: ['GET /api/updates HTTP/1.1', ...asks], answer: /^HTTP\/1.1 101 /, ends: 'upgraded' },
  { title: 'to a stream, refused for its query', lines: ['GET /api/updates?colour=red HTTP/1.1', ...asks], answer: /^HTTP\/1.1 400 [^]*connection: close/i, ends: 'closed' },
  { title: 'of REST, refused', lines: ['GET /api/people HTTP/1.1', ...asks], answer: /^HTTP\/1.1 400 [^]*connection: close/i, ends: 'closed' },
  { title: 'of nothing', lines: ['GET /nowhere HTTP/1.1', ...asks], answer: /^HTTP\/1.1 404 /, ends: 'closed' },
  { title: 'of a POST, ignored', lines: ['POST /own HTTP/1.1', ...asks, 'Content-Type: application/json', 'Content-Length: 7'], body: '{"a":1}', answer: /^HTTP\/1.1 200 [^]*\{"a":1\}$/, ends: 'closed' },
  { title: 'to h2c, ignored', lines: ['GET /own HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: h2c'], answer: /^HTTP\/1.1 200 [^]*mine$/, ends: 'reused' }
]

/** An app of which `/slow` answers when it is told to, and `/large` with more than a connection holds. */
async function startWaiting (t: Test): Promise<{ app: FastifyInstance, port: number, hook: EventEmitter }> {
  const hook = new EventEmitter()
  const app = await start(t, {
    before: async app => {
      app.get('/slow', async (request, reply) => {
        const proceed = once(hook, 'proceed')
        hook.emit('asked')
        await proceed
        return reply.headers(request.headers.accept === 'end' ? { Connection: 'close' } : {}).send('slow')
      })
      app.get('/large', async () => Readable.from(Array.from({ length: 128 }, () => Buffer.alloc(65_536, 'x'))))
    }
  })
  return { app, port: (app.server.address() as AddressInfo).port, hook }
}

/** A connection, and what has come on it, answer by answer. */
function talk (port: number): { socket: Socket, answers: () => string[] } {
  const socket = connectTcp({ port, host: '127.0.0.1' })
  let text = ''
  socket.setEncoding('latin1').on('data', chunk => { text += chunk }).on('error', () => {})
  return { socket, answers: () => text.split(/(?=HTTP\/1.1 )/).filter(answer => answer !== '') }
}

for (const { title, lines, body = '', answer, ends } of behind) {
  t.test(`an upgrade ${title}, behind requests that are being answered, is answered after them`, async t => {
    const { app, port, hook } = await startWaiting(t)
    const { socket, answers } = talk(port)
    t.teardown(() => socket.destroy())
    const asked = once(hook, 'asked')
    socket.write(['GET /slow HTTP/1.1', 'Host: x', '', 'GET /own HTTP/1.1', 'Host: x', '', ...lines, '', body].join('\r\n'))
    await asked
    await new Promise(resolve => setTimeout(resolve, 20))
    t.same(answers(), [])
    hook.emit('proceed')
    await until(() => answers().length === 3 && answer.test(answers()[2] ?? ''), 'the third answer')
    t.match(answers()[0], /slow$/)
    t.match(answers()[1], /mine$/)
    if (ends === 'closed') {
      await until(async () => await open(app) === 0, 'the connection to be closed')
    } else if (ends === 'reused') {
      socket.write('GET /own HTTP/1.1\r\nHost: x\r\n\r\n')
      await until(() => answers().length === 4)
    } else {
      await app.changeStreams.people.create(ada)
      await until(() => answers().at(-1)?.includes('Ada') === true)
    }
  })
}

t.test('an upgrade behind an answer that closes its connection is not looked at', async t => {
  const { app, port, hook } = await startWaiting(t)
  const { socket, answers } = talk(port)
  const asked = once(hook, 'asked')
  socket.write(['GET /slow HTTP/1.1', 'Host: x', 'Accept: end', '', 'GET /api/updates HTTP/1.1', ...asks, '', ''].join('\r\n'))
  await asked
  hook.emit('proceed')
  await once(socket, 'close')
  t.equal(answers().length, 1)
  t.equal(await open(app), 0)
})

t.test('an answer larger than the connection holds is sent whole, whatever upgrade waits behind it', async t => {
  const { port } = await startWaiting(t)
  const { socket, answers } = talk(port)
  t.teardown(() => socket.destroy())
  socket.write(['GET /large HTTP/1.1', 'Host: x', '', 'GET /api/updates HTTP/1.1', ...asks, '', ''].join('\r\n'))
  await until(() => /^HTTP\/1.1 101 /.test(answers()[1] ?? ''))
  t.equal(answers()[0]?.match(/x/g)?.length, 128 * 65_536)
})

for (const [what, leave] of Object.entries(leavings)) {
  t.test(`a peer that ${what} while its upgrade waits behind an answer leaves nothing behind`, async t => {
    const { app, port, hook } = await startWaiting(t)
    for (const path of ['/api/updates', '/api/people', '/own']) {
      const { socket } = talk(port)
      const asked = once(hook, 'asked')
      socket.write(['GET /slow HTTP/1.1', 'Host: x', '', `GET ${path} HTTP/1.1`, ...asks, '', ''].join('\r\n'))
      await asked
      leave(socket)
      await new Promise(resolve => setTimeout(resolve, 10))
      hook.emit('proceed')
    }
    await until(async () => await open(app) === 0, 'the last connection to be closed')
  })
}

t.test('an upgrade that is not answered by the time the app closes holds it up no longer than a stream\'s peer', async t => {
  const { app, hook } = await startSlow(t)
  const asked = once(hook, 'asked')
  const socket = connectTcp({ port: (app.server.address() as AddressInfo).port, host: '127.0.0.1' })
  socket.write(['GET /api/updates HTTP/1.1', ...asks, '', ''].join('\r\n'))
  await asked
  await app.close()
  t.pass('it has closed')
})

interface Place { title: string, server?: FastifyServerOptions, options?: ChangeStreamOptions, scope?: string, paths: readonly string[], not?: readonly string[] }

const places: readonly Place[] = [
  { title: 'a prefix that ends in a slash', options: { prefix: '/api/' }, paths: ['/api/updates'], not: ['/api//updates'] },
  { title: 'a prefix of two parts', options: { prefix: '/api/v1' }, paths: ['/api/v1/updates'], not: ['/updates'] },
  { title: 'the path "/" under a prefix', options: { prefix: '/changes', updatesPath: '/' }, paths: ['/changes', '/changes/', '/changes?filter=all'] },
  { title: 'the path "/"', options: { updatesPath: '/' }, paths: ['/'] },
  { title: 'a scope with a parameter', scope: '/:tenant', paths: ['/acme/updates', '/a%20b/updates', '/%C3%BCber/updates', '/a%2Fb/updates'], not: ['/updates', '/a/b/updates'] },
  { title: 'a parameter in its path', options: { updatesPath: '/rooms/:room/updates' }, paths: ['/rooms/1/updates'], not: ['/rooms//x/updates'] },
  { title: 'a pattern in its path', options: { updatesPath: '/rooms/:room(^\\d+$)/updates' }, paths: ['/rooms/12/updates'], not: ['/rooms/x/updates'] },
  { title: 'a wildcard in its path', options: { updatesPath: '/live/*' }, paths: ['/live/a/b', '/live/'] },
  { title: 'a space in its path', options: { updatesPath: '/my updates' }, paths: ['/my%20updates'] },
  { title: 'letters that are not ASCII', options: { updatesPath: '/änderungen/日本' }, paths: ['/%C3%A4nderungen/%E6%97%A5%E6%9C%AC'] },
  { title: 'an escape that need not be', paths: ['/upd%61tes'], not: ['/updates%'] },
  { title: 'the app\'s case', server: { routerOptions: { caseSensitive: false } }, paths: ['/UPDATES', '/Updates'] },
  { title: 'case as it is', paths: ['/updates'], not: ['/Updates', '/updates/', '//updates'] },
  { title: 'a trailing slash', server: { routerOptions: { ignoreTrailingSlash: true } }, paths: ['/updates', '/updates/'] },
  { title: 'slashes that come twice', server: { routerOptions: { ignoreDuplicateSlashes: true } }, paths: ['/updates', '//updates', '///updates'] },
  { title: 'a prefix and slashes that come twice', server: { routerOptions: { ignoreDuplicateSlashes: true } }, options: { prefix: '/api/' }, paths: ['/api//updates', '/api/updates'] },
  { title: 'a query after a semicolon', server: { routerOptions: { useSemicolonDelimiter: true } as object }, paths: ['/updates;x'] },
  { title: 'a URL that the app rewrites', server: { rewriteUrl: ({ url }) => (url ?? '').replace(/^\/v1/, '') }, paths: ['/v1/updates'] },
  { title: 'absolute-form', paths: ['http://x/updates', 'https://x/updates?filter=all'] }
]

/** Who else listens, and what each does with what it does not know. */
const listeners: Readonly<Record<string, (app: FastifyInstance) => Promise<void>>> = {
  'and nobody else listening': async () => {},
  'beside a @fastify/websocket that comes after': echoes,
  'beside a server of ws with a path, which refuses every other': async app => { new WebSocketServer({ server: app.server as Server, path: '/raw' }).on('connection', socket => socket.send('raw')) },
  'beside a listener that leaves every other alone': async app => { app.server.on('upgrade', own) }
}

function own (request: IncomingMessage, socket: Duplex): void {
  if (request.url === '/raw') socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\n')
}

/** The status with which an upgrade of this very target is answered. */
async function statusOf (port: number, target: string): Promise<number> {
  const socket = connectTcp({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.write([`GET ${target} HTTP/1.1`, ...asks, '', ''].join('\r\n'), 'latin1')
  const [answer] = await once(socket, 'data')
  socket.destroy()
  return Number(/^HTTP\/1.1 (\d+)/.exec(String(answer))?.[1])
}

for (const [who, add] of Object.entries(listeners)) {
  t.test(`the WebSocket is where the route is, ${who}`, async t => {
    for (const { title, server, options, scope, paths, not = [] } of places) {
      const app = Fastify(server)
      t.teardown(() => app.close())
      if (scope === undefined) await app.register(changeStream, options ?? {})
      else await app.register(async inner => { await inner.register(changeStream, options ?? {}) }, { prefix: scope })
      await add(app)
      await listen(app)
      const { port } = app.server.address() as AddressInfo
      for (const path of paths) t.equal(await statusOf(port, path), 101, `${title}: ${path}`)
      if (who === 'beside a listener that leaves every other alone') continue // and unanswered
      for (const path of not) t.not(await statusOf(port, path), 101, `${title}: not ${path}`)
    }
  })
}

t.test('the app\'s own sockets work beside the stream, whoever serves them', async t => {
  for (const [who, add] of Object.entries(listeners)) {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(changeStream)
    await add(app)
    const origin = await listen(app)
    const { port } = app.server.address() as AddressInfo
    const stream = await connect(t, `${origin}/updates`)
    await app.changeStreams.people.create(ada)
    t.match(await stream.next(), 'Ada', who)
    if (who.includes('@fastify')) {
      const echo = await connect(t, `${origin}/echo`)
      echo.send('hi')
      t.equal(await echo.next(), 'hi', who)
    } else if (!who.includes('nobody')) {
      t.equal(await statusOf(port, '/raw'), 101, who)
    }
    t.equal(stream.left().length, 0)
  }
})

t.test('an app\'s @fastify/websocket that is registered afterwards hears nothing of the streams', async t => {
  const lines: string[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: line => lines.push(line) } } })
  t.teardown(() => app.close())
  await app.register(changeStream)
  await echoes(app)
  const origin = await listen(app)
  for (let turn = 0; turn < 3; turn++) await connect(t, `${origin}/updates`)
  t.equal((await refusedUpgrade(`${origin}/updates?colour=red`)).status, 400)
  t.same(lines, [])
})

t.test('where a stream\'s address and one of the app\'s sockets overlap, the router decides', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(changeStream, { prefix: '/:tenant', updatesPath: '/live' })
  await app.register(websocket)
  await app.register(async scope => { scope.get('/admin/live', { websocket: true }, socket => socket.send('admin')) })
  const origin = await listen(app)
  t.equal(await new Inbox(`${origin}/admin/live`).next(), 'admin')
  const stream = await connect(t, `${origin}/acme/live`)
  await app.changeStreams.people.create(ada)
  t.match(await stream.next(), 'Ada')
})

t.test('compression over WebSockets of the app\'s own that can\'t deflate is refused at register', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  await t.rejects(async () => { await app.register(changeStream, { compression: true }) }, { message: /"compression".*perMessageDeflate/ })
  const able = Fastify()
  t.teardown(() => able.close())
  await able.register(websocket, { options: { perMessageDeflate: true } })
  await able.register(changeStream, { compression: true })
  t.match((await connect(t, `${await listen(able)}/updates`)).socket.extensions, 'permessage-deflate')
  t.equal((await request(`http://127.0.0.1:${(able.server.address() as AddressInfo).port}/people`)).status, 200)
})

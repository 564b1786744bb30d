import { EventEmitter, once } from 'node:events'
import dns from 'node:dns'
import { type AddressInfo, type Socket, connect } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { EventSource } from 'eventsource'
import t, { type Test } from 'tap'
import changeStream from '../../plugin/index.ts'
import { ada, until } from '../helper.ts'

/** "localhost" has two addresses, as where there is IPv6: Fastify makes two servers of it. */
const { lookup } = dns
dns.lookup = ((name: string, options: { all?: boolean }, done: (error: null, addresses: object) => void) => {
  if (name !== 'localhost' || options.all !== true) return lookup(name, options, done as never)
  done(null, [{ address: '127.0.0.1', family: 4 }, { address: '127.0.0.2', family: 4 }])
}) as unknown as typeof lookup
t.teardown(() => { dns.lookup = lookup })

/** An app whose closing, after the plugin's part in it, waits until it is told to go on. */
async function serve (t: Test, options: object): Promise<{ app: FastifyInstance, gate: EventEmitter, ports: Array<{ host: string, port: number }> }> {
  const app = Fastify(options) as unknown as FastifyInstance
  const gate = new EventEmitter()
  const proceed = once(gate, 'proceed')
  t.teardown(() => {
    gate.emit('proceed')
    return app.close()
  })
  await app.register(async scope => { await scope.register(changeStream, { prefix: '/api/', updatesPath: '/:room/updates' }) }, { prefix: '/:tenant' })
  await app.register(async scope => {
    scope.addHook('preClose', async () => {
      gate.emit('closing')
      await proceed
    })
  })
  await app.listen({ port: 0 })
  return { app, gate, ports: (app.addresses() as AddressInfo[]).map(({ address, port }) => ({ host: address, port })) }
}

async function refuses (host: string, port: number): Promise<boolean> {
  const socket = connect(port, host)
  return await new Promise(resolve => {
    socket.on('error', () => resolve(true)).on('connect', () => {
      socket.destroy()
      resolve(false)
    })
  })
}

/** What a connection gets for a request; '' where it is cut. */
async function answer (socket: Socket, target: string, accept: string): Promise<string> {
  let text = ''
  const hear = (chunk: Buffer): void => { text += String(chunk) }
  socket.on('data', hear)
  socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nAccept: ${accept}\r\n\r\n`)
  while (!text.includes('\r\n\r\n') && !socket.destroyed) await Promise.race([once(socket, 'data'), new Promise(resolve => socket.once('close', resolve))])
  socket.off('data', hear)
  return text.split('\r\n', 1)[0] ?? ''
}

t.test('while an app closes, an EventSource that comes back is cut, on each of its servers and wherever its router finds the stream; all else is told 503', async t => {
  const { app, gate, ports } = await serve(t, { requestIdHeader: 'x-request-id', routerOptions: { ignoreTrailingSlash: true, caseSensitive: false, ignoreDuplicateSlashes: true } })
  t.equal(ports.length, 2)
  const asks = [
    ['/acme/api/1/updates', 'text/event-stream', ''], ['/acme/api/1/updates/?filter=all', 'text/event-stream', ''], ['/ACME//api/1/Updates', 'Text/Event-Stream', ''],
    ['/%C3%BC/api/a%2Fb/upd%61tes', 'text/*', ''], ['http://x/acme/api/1/updates', 'text/event-stream, */*;q=0.1', ''],
    ['/acme/api/1/updates', 'application/json', 'HTTP/1.1 503 Service Unavailable'], ['/acme/api/1/updates', 'text/event-stream;q=0', 'HTTP/1.1 503 Service Unavailable'],
    ['/acme/api/people', 'text/event-stream', 'HTTP/1.1 503 Service Unavailable'], ['/nowhere', 'text/event-stream', 'HTTP/1.1 503 Service Unavailable']
  ] as const
  const sockets: Array<[Socket, typeof asks[number]]> = []
  for (const port of ports) {
    for (const ask of asks) {
      const socket = connect(port)
      t.teardown(() => socket.destroy())
      socket.on('error', () => {})
      await once(socket, 'connect')
      t.match(await answer(socket, '/nowhere', '*/*'), /404/)
      sockets.push([socket, ask])
    }
  }
  const begun = once(gate, 'closing')
  const closing = app.close()
  await begun
  for (const [socket, [target, accept, expected]] of sockets) t.equal(await answer(socket, target, accept), expected, `${target} as ${accept}`)
  gate.emit('proceed')
  await closing
})

t.test('an EventSource goes on over a restart of an app that is two servers', async t => {
  const first = await serve(t, { forceCloseConnections: true })
  const sources = first.ports.map(({ host, port }) => new EventSource(`http://${host}:${port}/acme/api/1/updates?snapshot=true`))
  t.teardown(() => { for (const source of sources) source.close() })
  let opened = 0
  let failed = 0
  for (const source of sources) {
    source.addEventListener('ready', () => opened++)
    source.addEventListener('error', () => failed++)
  }
  await until(() => opened === 2)
  const closing = first.app.close()
  await until(() => failed >= 4, 'each to have been sent away, and cut once more')
  first.gate.emit('proceed')
  await closing
  for (const { host, port } of first.ports) await until(async () => await refuses(host, port), 'each server to be gone') // Fastify waits for the first alone
  const second = Fastify({ forceCloseConnections: true })
  t.teardown(() => second.close())
  await second.register(changeStream, { prefix: '/acme/api/1' })
  await second.listen({ port: first.ports[0]?.port ?? 0 })
  await until(() => opened === 4)
  t.same(sources.map(source => source.readyState), [1, 1])
})

t.test('a feed under way is finished when the app closes, as long as its peer takes it', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(changeStream)
  await app.listen({ port: 0, host: '127.0.0.1' })
  for (let turn = 0; turn < 110; turn++) await app.changeStreams.people.create({ ...ada, job: 'x'.repeat(100_000) })
  const { port } = app.server.address() as AddressInfo
  const [slow, stuck] = [0, 1].map(() => connect(port, '127.0.0.1')) as [Socket, Socket]
  for (const socket of [slow, stuck]) {
    socket.on('error', () => {})
    socket.write('GET /updates?since=start HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(socket, 'readable')
  }
  const closing = app.close()
  let text = ''
  slow.setEncoding('latin1').on('data', chunk => {
    text += chunk
    slow.pause()
    setImmediate(() => slow.resume())
  })
  await once(slow, 'close')
  const [head = '', page = ''] = text.split('\r\n\r\n')
  t.equal(page.length, Number(/content-length: (\d+)/i.exec(head)?.[1]), 'all of it')
  await closing
  stuck.destroy()
})

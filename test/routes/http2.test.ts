import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type ClientHttp2Session, type ClientHttp2Stream, type ServerHttp2Stream, connect } from 'node:http2'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import changeStream, { type ChangeStreamOptions } from '../../plugin/index.ts'
import { ada, until } from '../helper.ts'

const servers: Readonly<Record<string, (t: Test) => object>> = {
  'over HTTP/2 in the clear': () => ({ http2: true }),
  'over HTTP/2 and TLS': t => {
    const folder = t.testdir()
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'key', '-out', 'cert', '-days', '2', '-subj', '/CN=localhost'], { cwd: folder, stdio: 'ignore' })
    return { http2: true, https: { allowHTTP1: true, key: readFileSync(`${folder}/key`), cert: readFileSync(`${folder}/cert`) } }
  }
}

async function serve (t: Test, options: object, plugin: ChangeStreamOptions = {}): Promise<{ app: FastifyInstance, session: ClientHttp2Session, held: () => number }> {
  const app = Fastify(options) as unknown as FastifyInstance
  t.teardown(() => app.close())
  await app.register(changeStream, { rest: 0, ...plugin })
  const streams: ServerHttp2Stream[] = []
  app.server.on('stream', (stream: ServerHttp2Stream) => streams.push(stream))
  const origin = await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connect(origin, { rejectUnauthorized: false })
  session.on('error', () => {})
  t.teardown(() => session.destroy())
  return { app, session, held: () => streams.reduce((sum, { writableLength }) => sum + writableLength, 0) }
}

/** A stream of events, of which what comes is kept. */
async function events (session: ClientHttp2Session, path = '/updates'): Promise<{ stream: ClientHttp2Stream, text: () => string }> {
  const stream = session.request({ ':path': path, accept: 'text/event-stream' })
  let text = ''
  stream.setEncoding('utf8').on('data', chunk => { text += chunk }).on('error', () => {})
  await once(stream, 'response')
  return { stream, text: () => text }
}

for (const [how, server] of Object.entries(servers)) {
  t.test(`events ${how}: who does not read costs no more than its window, and gets all when it reads on`, async t => {
    const { app, session, held } = await serve(t, server(t), { tailSize: 1, cacheSize: 1, ringSize: 1 })
    const { stream, text } = await events(session)
    await until(() => text().includes('synced'))
    stream.pause()
    const job = 'x'.repeat(50_000)
    for (let turn = 0; turn < 10; turn++) await app.changeStreams.people.createAll(Array.from({ length: 20 }, (_, index) => ({ ...ada, job, age: turn * 20 + index })))
    await new Promise<void>(resolve => session.ping(() => resolve()))
    t.ok(held() < 1_000_000, `of 10 MB it holds ${held()}`)
    stream.resume()
    await until(() => (text().match(/^event: save$/gm)?.length ?? 0) === 200, 'the rest')
    t.same([...text().matchAll(/"age":(\d+)/g)].map(([, age]) => Number(age)), Array.from({ length: 200 }, (_, age) => age))
    stream.close()
  })

  t.test(`closing ends events ${how}, and cuts an EventSource that comes back`, async t => {
    const { app, session } = await serve(t, server(t))
    const { stream, text } = await events(session)
    await until(() => text().includes('synced'))
    const ended = once(stream, 'end')
    const closing = app.close()
    await ended
    t.match(text(), 'event: bye')
    const again = session.request({ ':path': '/updates', accept: 'text/event-stream' })
    const [error] = await once(again, 'error')
    t.match(error, { message: /NGHTTP2_REFUSED_STREAM/ }, 'it may try again')
    session.close()
    await closing
  })
}

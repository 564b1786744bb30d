import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { type AddressInfo, connect as connectTcp } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import changeStream from '../../plugin/index.ts'
import { ada, connect, listen, request, until } from '../helper.ts'

/** Far less than anything here takes. */
const short = 150
const long = 4 * short

async function serve (t: Test, options: object): Promise<{ app: FastifyInstance, origin: string, port: number }> {
  const app = Fastify({ ...options, forceCloseConnections: true } as FastifyServerOptions) // fetch opens connections that it does not use
  t.teardown(() => app.close())
  await app.register(changeStream)
  app.get('/never', async () => await new Promise(() => {}))
  const origin = await listen(app)
  return { app, origin, port: (app.server.address() as AddressInfo).port }
}

for (const [name, options] of Object.entries({ connectionTimeout: { connectionTimeout: short }, handlerTimeout: { handlerTimeout: short } })) {
  t.test(`an app's ${name} is not for streams that have nothing to send`, async t => {
    const { app, origin, port } = await serve(t, options)
    const socket = await connect(t, `${origin}/updates`)
    const left = new AbortController()
    const events = await fetch(`${origin}/updates`, { headers: { accept: 'text/event-stream' }, signal: left.signal })
    const reader = events.body?.getReader()
    const page = request<{ changes: unknown[] }>(`${origin}/updates?wait=30`)
    const other = await request(`${origin}/never`).then(({ status }) => status, () => 'cut')
    t.equal(other, name === 'handlerTimeout' ? 503 : 'cut', 'it holds for the app\'s own')
    await new Promise(resolve => setTimeout(resolve, long)) // longer than any of them may be idle elsewhere
    await app.changeStreams.people.create(ada)
    t.match(await socket.next(), 'Ada')
    t.equal((await page).body.changes.length, 1)
    let text = ''
    while (!text.includes('Ada')) text += new TextDecoder().decode((await reader?.read())?.value)
    left.abort()

    if (name !== 'connectionTimeout') return
    const kept = connectTcp(port, '127.0.0.1')
    let answers = ''
    kept.setEncoding('utf8').on('data', chunk => { answers += chunk })
    kept.write('GET /updates?wait=1 HTTP/1.1\r\nHost: x\r\n\r\n')
    await until(() => answers.includes('"more"'))
    kept.write('GET /never HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(kept, 'close')
    t.match(answers, /^HTTP\/1.1 200 [^]*\}$/, 'what is asked on the same connection afterwards is cut as ever')
  })
}

t.test('an app\'s http2SessionTimeout is not for streams that have nothing to send', async t => {
  const { app, origin } = await serve(t, { http2: true, http2SessionTimeout: short, connectionTimeout: short })
  const open = async (): Promise<ClientHttp2Session> => {
    const session = connectHttp2(origin)
    session.on('error', () => {})
    t.teardown(() => session.destroy())
    await once(session, 'connect')
    return session
  }
  const session = await open()
  const streams = [0, 1].map(() => session.request({ ':path': '/updates', accept: 'text/event-stream' }))
  let text = ''
  for (const stream of streams) {
    stream.setEncoding('utf8').on('data', chunk => { text += chunk }).on('error', () => {})
    await once(stream, 'response')
  }
  await new Promise(resolve => setTimeout(resolve, long))
  await app.changeStreams.people.create(ada)
  await until(() => text.match(/Ada/g)?.length === 2, 'both to be told')
  streams[0]?.close()
  await new Promise(resolve => setTimeout(resolve, long))
  t.notOk(session.closed, 'as long as there is one')
  const ended = once(session, 'close')
  streams[1]?.close()
  await ended
  t.pass('afterwards it ends as ever')
})

import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { type Socket, connect } from 'node:net'
import t from 'tap'
import { type FastifyInstance } from 'fastify'
import { ada, build, listen, request, until } from '../helper.ts'

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
const post = (record: object): string => {
  const body = JSON.stringify(record)
  return `POST /people HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

interface Line { readonly socket: Socket, readonly statuses: () => number[] }

async function open (url: string): Promise<Line> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let text = ''
  socket.on('data', chunk => { text += String(chunk) })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return { socket, statuses: () => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(match => Number(match[1])) }
}

/** An app that counts the lists that are begun, and those that are read and not yet sent. */
async function counting (t: Parameters<typeof build>[0]): Promise<{ app: FastifyInstance, url: string, most: () => number, begun: () => number }> {
  const app = await build(t)
  let most = 0
  let begun = 0
  let now = 0
  const { people } = app.changeStreams
  const list = people.list.bind(people)
  people.list = async query => {
    begun++
    most = Math.max(most, ++now)
    return await list(query)
  }
  app.addHook('onSend', async ({ method, url }) => { if (method === 'GET' && url.startsWith('/people?')) now = Math.max(now - 1, 0) })
  return { app, url: await listen(app), most: () => most, begun: () => begun }
}

t.test('requests that are sent at once on one connection are answered in order, one at a time', async t => {
  const { url, most } = await counting(t)
  await request(`${url}/people`, 'POST', ada)
  const { socket, statuses } = await open(url)
  socket.write(Array.from({ length: 20 }, (_, index) => get(`/people?limit=${index + 1}`)).join('') + get('/people?limit=x') + post(ada) + get('/people?limit=1') + get('/updates?since=start'))
  await until(() => statuses().length === 24)
  t.same(statuses(), [...Array.from({ length: 20 }, () => 200), 400, 201, 200, 200])
  t.equal(most(), 1)
  socket.destroy()
})

t.test('at most 64 wait on a connection; those beyond are refused at once, in their turn', async t => {
  const { url, most, begun } = await counting(t)
  const { socket, statuses } = await open(url)
  socket.write(get('/updates?wait=1') + Array.from({ length: 200 }, () => get('/people?limit=1')).join(''))
  await until(() => statuses().length === 201)
  t.same(statuses(), [200, ...Array.from({ length: 64 }, () => 200), ...Array.from({ length: 136 }, () => 429)])
  t.equal(begun(), 64)
  t.equal(most(), 1)
  socket.write(get('/people?limit=1'))
  await until(() => statuses().length === 202)
  t.equal(statuses().at(-1), 200, 'the connection is as good as new')
  socket.destroy()
})

t.test('a client that leaves while its requests wait leaves nothing behind, and nothing is done for it', async t => {
  const { app, url, begun } = await counting(t)
  let answered = 0
  let asked = 0
  app.server.on('request', () => { asked++ })
  const ended = new Promise<void>(resolve => {
    app.server.on('request', (_, response) => response.once('close', () => { if (++answered === 11) resolve() }))
  })
  const { socket } = await open(url)
  socket.write(get('/updates?wait=60') + Array.from({ length: 10 }, () => get('/people?limit=1')).join(''))
  await until(() => asked === 11)
  socket.destroy()
  await ended
  t.equal(begun(), 0)
  t.equal((await request(`${url}/people`)).status, 200)
})

t.test('inject and HTTP/2 have no line to wait in', async t => {
  const app = await build(t)
  const answers = await Promise.all(Array.from({ length: 100 }, () => app.inject('/people')))
  t.ok(answers.every(({ statusCode }) => statusCode === 200))
  const server = await build(t, {}, { http2: true } as object)
  const session = connectHttp2(await listen(server))
  t.teardown(() => session.destroy())
  const statuses = await Promise.all(Array.from({ length: 90 }, async () => {
    const stream = session.request({ ':path': '/people' })
    stream.resume()
    const [headers] = await once(stream, 'response') as [Record<string, unknown>]
    return headers[':status']
  }))
  t.ok(statuses.every(status => status === 200))
})

import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { request } from '../helper.ts'
import { address, start } from './server.ts'

t.test('whatever the stand-alone server refuses is an RFC 9457 problem', async t => {
  const url = await address(start(t, ['--port', '0', '--database', ':memory:', '--log-level', 'silent']))
  const item = '/people/01a204d7-4d29-7119-9c28-9c5307d11442'
  for (const [method, path, status, allow] of [
    ['GET', '/nowhere', 404], ['POST', '/', 404], ['GET', '/people/a/b', 404],
    ['DELETE', '/people', 405, 'GET, HEAD, POST'], ['PUT', '/people?x', 405, 'GET, HEAD, POST'], ['OPTIONS', '/people', 405, 'GET, HEAD, POST'],
    ['POST', item, 405, 'DELETE, GET, HEAD, PATCH, PUT'], ['POST', '/updates', 405, 'GET, HEAD'], ['DELETE', '/updates', 405, 'GET, HEAD'], ['PROPFIND', '/updates', 405, 'GET, HEAD'],
    ['GET', '/people/%zz', 400], ['GET', `/people/${'x'.repeat(101)}`, 414]
  ] as const) {
    const { status: got, headers, body } = await request<{ status: number, title: string, detail: string }>(`${url}${path}`, method)
    t.equal(got, status, `${method} ${path}`)
    t.equal(headers.get('allow'), allow ?? null)
    t.match(headers.get('content-type'), 'application/problem+json')
    t.match(body, { type: 'about:blank', status, title: String, detail: String })
  }
  for (const [junk, status] of [['FOO BAR\r\n\r\n', 400], [`GET / HTTP/1.1\r\nHost: x\r\nA: ${'x'.repeat(20_000)}\r\n\r\n`, 431]] as const) {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    let answer = ''
    socket.setEncoding('latin1').on('data', chunk => { answer += chunk }).on('error', () => {})
    socket.write(junk)
    await once(socket, 'close')
    t.match(answer, new RegExp(`^HTTP/1.1 ${status} [^]*problem\\+json[^]*"status":${status}`))
  }
})

t.test('HEAD of the stream has the headers of GET, and waits for nothing', async t => {
  const url = await address(start(t, ['--port', '0', '--database', ':memory:', '--log-level', 'silent']))
  const feed = await fetch(`${url}/updates?wait=60`, { method: 'HEAD' })
  t.equal(feed.status, 200)
  t.match(feed.headers.get('content-type'), 'application/json')
  const events = await fetch(`${url}/updates`, { method: 'HEAD', headers: { accept: 'text/event-stream' } })
  t.equal(events.status, 200)
  t.match(events.headers.get('content-type'), 'text/event-stream')
  t.equal(await events.text(), '')
  t.equal((await fetch(`${url}/updates?since=`, { method: 'HEAD' })).status, 400)
})

import { once } from 'node:events'
import { type Socket, connect } from 'node:net'
import t, { type Test } from 'tap'
import { ada, request } from '../helper.ts'
import { type Run, address, start } from './server.ts'

/** A connection that keeps all that comes. */
class Peer {
  readonly socket: Socket
  answer = ''
  readonly #closed: Promise<unknown>

  constructor (t: Test, port: number) {
    this.socket = connect({ port, host: '127.0.0.1' })
    this.socket.setEncoding('latin1').on('data', chunk => { this.answer += chunk }).on('error', () => {})
    this.#closed = new Promise(resolve => this.socket.once('close', resolve))
    t.teardown(() => this.socket.destroy())
  }

  async closed (): Promise<string> {
    await this.#closed
    return this.answer
  }

  async has (pattern: RegExp): Promise<void> {
    while (!pattern.test(this.answer)) await Promise.race([once(this.socket, 'data'), this.#closed.then(() => { throw new Error(`closed after ${this.answer}`) })])
  }
}

const body = JSON.stringify(ada)
const post = ['POST /people HTTP/1.1', 'Host: x', 'Content-Type: application/json', `Content-Length: ${body.length}`, '', ''].join('\r\n')

async function serve (t: Test, args: readonly string[] = []): Promise<{ run: Run, url: string, port: number }> {
  const run = start(t, ['--port', '0', '--database', ':memory:', '--log-level', 'warn', ...args])
  const url = await address(run)
  return { run, url, port: Number(new URL(url).port) }
}

/** Stops it; it must end by itself, with 0, and log no error. */
async function stopped (t: Test, run: Run): Promise<number> {
  const begun = performance.now()
  run.child.kill('SIGTERM')
  const { code, stderr, stdout } = await run.ended()
  t.equal(code, 0)
  t.equal(stderr, '')
  t.notMatch(stdout, /"level":[456]0/)
  return performance.now() - begun
}

t.test('connections on which nothing is asked are closed at once when the server is stopped', async t => {
  const { run, url, port } = await serve(t, ['--close-grace', '10000'])
  const silent = new Peer(t, port)
  const kept = new Peer(t, port)
  kept.socket.write(`${post}${body}`)
  await kept.has(/201 Created/)
  await request(`${url}/people`)
  const took = await stopped(t, run)
  t.equal(await silent.closed(), '')
  t.match(await kept.closed(), /^HTTP\/1.1 201/)
  t.ok(took < 8000, `and nothing is waited for: ${took}`)
})

t.test('half a head and half a body have a moment to become whole, and are answered then; those that do not are cut', async t => {
  const { run, url, port } = await serve(t, ['--close-grace', '1500'])
  const peers = { halfHead: new Peer(t, port), halfBody: new Peer(t, port), neverHead: new Peer(t, port), neverBody: new Peer(t, port) }
  for (const peer of [peers.halfHead, peers.neverHead]) peer.socket.write('GET /people HTTP/1.1\r\nHo')
  for (const peer of [peers.halfBody, peers.neverBody]) peer.socket.write(`${post}${body.slice(0, 10)}`)
  for (let turn = 0; turn < 5; turn++) await request(`${url}/people`) // what was written has been read
  const ending = stopped(t, run)
  const probe = new Peer(t, port)
  probe.socket.write('GET /people HTTP/1.1\r\nHost: x\r\n\r\n')
  await probe.closed() // by now it is stopping
  peers.halfBody.socket.write(body.slice(10))
  peers.halfHead.socket.write('st: x\r\n\r\n')
  t.match(await peers.halfBody.closed(), /^HTTP\/1.1 201 [^]*connection: close/i)
  t.match(await peers.halfHead.closed(), /^HTTP\/1.1 503 [^]*connection: close[^]*problem\+json[^]*"title":"Service Unavailable"/i)
  t.equal(await peers.neverHead.closed(), '')
  t.equal(await peers.neverBody.closed(), '')
  t.ok(await ending < 8000)
})

t.test('a write under way on a connection that is kept alive is answered, with Connection: close', async t => {
  const { run, port } = await serve(t)
  const peers = Array.from({ length: 20 }, () => new Peer(t, port))
  for (const peer of peers) {
    peer.socket.write(`${post}${body}`)
    await peer.has(/201 Created/)
    peer.answer = ''
  }
  for (const peer of peers) peer.socket.write(`${post}${body}`)
  await peers[0]?.has(/201 Created/)
  const took = await stopped(t, run)
  for (const peer of peers) t.match(await peer.closed(), /^(HTTP\/1.1 (201|503) [^]*|)$/)
  t.ok(took < 8000)
})

t.test('a large answer is finished as long as its peer takes it, and given up where it takes nothing', async t => {
  const { run, url, port } = await serve(t)
  const job = 'x'.repeat(100_000)
  for (let turn = 0; turn < 9; turn++) await request(`${url}/people`, 'POST', Array.from({ length: 10 }, () => ({ ...ada, job })))
  const target = 'GET /updates?since=start HTTP/1.1\r\nHost: x\r\n\r\n'
  const slow = new Peer(t, port)
  const stuck = new Peer(t, port)
  for (const peer of [slow, stuck]) {
    peer.socket.write(target)
    await peer.has(/^HTTP\/1.1 200/)
    peer.socket.pause()
  }
  const ending = stopped(t, run)
  const probe = new Peer(t, port)
  probe.socket.write('GET /people HTTP/1.1\r\nHost: x\r\n\r\n')
  await probe.closed()
  slow.socket.resume()
  const answer = await slow.closed()
  const [head = '', page = ''] = answer.split('\r\n\r\n')
  t.equal(page.length, Number(/content-length: (\d+)/i.exec(head)?.[1]), 'all of it')
  t.ok(await ending < 9000, 'and the other is not waited for to the last')
})

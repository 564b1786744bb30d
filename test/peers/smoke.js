// Uses the installed package as an app and its clients would, over real sockets and a real file. Run where it is installed.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import changeStream from 'fastify-change-stream'
import { sqlite } from 'fastify-change-stream/sqlite'
import { WebSocket } from 'ws'

const driver = process.argv.at(-1)
const file = `smoke-${driver}.db`
const Order = Type.Object({ item: Type.String({ minLength: 1 }), count: Type.Integer({ minimum: 1 }) }, { additionalProperties: false })
for (const end of ['', '-wal', '-shm']) rmSync(file + end, { force: true })

async function serve () {
  const app = Fastify()
  await app.register(changeStream, { resource: { name: 'orders', noun: 'order', schema: Order }, repository: sqlite({ file, driver }) })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, url: `http://127.0.0.1:${app.server.address().port}` }
}

async function call (url, method = 'GET', body = undefined, headers = {}) {
  const response = await fetch(url, { method, headers: { ...(body && { 'content-type': 'application/json' }), ...headers }, ...(body && { body: JSON.stringify(body) }) })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text && JSON.parse(text) }
}

async function open (url, protocol) {
  const socket = new WebSocket(url.replace('http', 'ws'), protocol)
  const messages = []
  const waiting = []
  socket.on('message', data => (waiting.shift() ?? (message => messages.push(message)))(String(data)))
  await once(socket, 'open')
  const next = async () => messages.shift() ?? await new Promise(resolve => waiting.push(resolve))
  return { socket, next, nextJson: async () => JSON.parse(await next()) }
}

const first = await serve()
const text = await open(`${first.url}/updates`)
const json = await open(`${first.url}/updates?snapshot=true`, 'change-stream.v1')
assert.equal((await json.nextJson()).type, 'ready')
const synced = await json.nextJson()
assert.equal(synced.type, 'synced')

const created = await call(`${first.url}/orders`, 'POST', { item: 'tea', count: 2 })
assert.equal(created.status, 201)
const { id } = created.body
assert.equal(await text.next(), `Saved order [${id}] ${JSON.stringify(created.body)}`)
const told = await json.nextJson()
assert.deepEqual(told.changes.map(change => [change.op, change.record]), [['save', created.body]])

const refused = await call(`${first.url}/orders`, 'POST', { item: '', count: '2' })
assert.equal(refused.status, 400)
assert.match(refused.headers.get('content-type'), /^application\/problem\+json/)
assert.deepEqual(refused.body.errors.map(error => error.path).sort(), ['/count', '/item'])
assert.equal((await call(`${first.url}/orders/${id}`, 'PATCH', { count: 3 }, { 'if-match': '"other"' })).status, 412)
assert.equal((await call(`${first.url}/orders/${id}`, 'PATCH', { count: 3 }, { 'if-match': created.headers.get('etag') })).body.count, 3)
assert.equal((await call(`${first.url}/orders`, 'POST', [{ item: 'a', count: 1 }, { item: 'b', count: 2 }])).status, 201)
assert.deepEqual((await call(`${first.url}/orders?where=${encodeURIComponent('{"count":{"$gte":2}}')}&sort=-count&fields=item`)).body.map(({ item }) => item), ['tea', 'b'])
assert.match(await text.next(), /^Saved order/)
text.socket.send('deletes')
text.socket.ping()
await once(text.socket, 'pong')
while (!(await json.nextJson()).changes.some(change => change.record?.item === 'b'));
const page = await call(`${first.url}/updates?since=start`, 'GET', undefined, { accept: 'application/json' })
assert.deepEqual(page.body.changes.map(change => change.op), ['save', 'save', 'save', 'save'])

const closed = [text, json].map(({ socket }) => once(socket, 'close'))
await first.app.close()
assert.deepEqual((await Promise.all(closed)).map(([code]) => code), [1001, 1001])

const second = await serve()
assert.equal((await call(`${second.url}/orders/${id}`, 'DELETE')).status, 204)
const resumed = await open(`${second.url}/updates?since=${page.body.cursor}`, 'change-stream.v1')
assert.equal((await resumed.nextJson()).type, 'ready')
assert.deepEqual((await resumed.nextJson()).changes.map(change => [change.op, change.id]), [['delete', id]])
resumed.socket.send('{"type":"stop"}')
assert.equal((await once(resumed.socket, 'close'))[0], 1000)
const sse = await fetch(`${second.url}/updates?since=${page.body.cursor}`, { headers: { accept: 'text/event-stream' } })
let events = ''
for await (const chunk of sse.body) if (/event: delete\n/.test(events += Buffer.from(chunk))) break
await second.app.close()

const versions = ['fastify', '@sinclair/typebox', 'better-sqlite3'].map(name => {
  const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8'))
  return `${name} ${version}`
})
console.log(`Node ${process.version}, ${versions.join(', ')}, through ${driver}: well`)

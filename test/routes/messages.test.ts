import fc from 'fast-check'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { subprotocol } from '../../protocol/index.ts'
import { type Inbox, ada, build, connect, listen, request } from '../helper.ts'

interface Message { type: string, code?: string, message?: string, filter?: unknown, changes?: unknown[] }

const nested = (depth: number, inside = ''): string => '['.repeat(depth) + inside + ']'.repeat(depth)
const objects = (depth: number): string => '{"$and":['.repeat(depth) + '{"age":1}' + ']}'.repeat(depth)

/** The next message of a subscriber that has heard `ready` and `synced`. */
async function subscriber (t: Parameters<typeof connect>[0], origin: string): Promise<Inbox> {
  const inbox = await connect(t, `${origin}/updates`, subprotocol)
  await inbox.next()
  await inbox.next()
  return inbox
}

t.test('a message of any depth is answered with an error of bounded length, and the stream goes on', async t => {
  const origin = await listen(await build(t))
  const messages = [
    `{"type":${nested(5000)}}`, `{"type":${nested(50)}}`, nested(8000), '['.repeat(16_000), `{"type":"filter","where":${objects(1200)}}`, `{"type":"filter","where":${objects(40)}}`,
    `{"type":"filter","fields":${nested(5000)}}`, `{"type":"filter","filter":${nested(90)}}`, `{"type":"${'x'.repeat(16_000)}"}`, `{"type":${'9'.repeat(16_000)}}`,
    `{"type":"filter","where":{"${'x'.repeat(16_000)}":1}}`, `{"type":"filter","where":{"age":{"$gt":"${'x'.repeat(16_000)}"}}}`, `{"type":"filter","fields":["${'x'.repeat(16_000)}"]}`, `{"type":{"toString":${nested(80)}}}`
  ]
  for (const message of messages) {
    const inbox = await subscriber(t, origin)
    inbox.send(message)
    const answer = await inbox.nextJson<Message>()
    t.equal(answer.type, 'error', message.slice(0, 40))
    t.match(answer.code, /^invalid-/)
    t.ok((answer.message?.length ?? 0) < 500, `${answer.message?.length} characters`)
    await request(`${origin}/people`, 'POST', ada)
    t.equal((await inbox.nextJson<Message>()).type, 'changes')
    inbox.socket.terminate()
  }
})

t.test('whatever JSON a client sends, it is answered', async t => {
  const origin = await listen(await build(t))
  const json = fc.oneof(fc.json(), fc.string(), fc.record({ type: fc.oneof(fc.constantFrom<unknown>('filter', 'stop ', 'Filter'), fc.jsonValue()), where: fc.jsonValue(), fields: fc.jsonValue(), filter: fc.jsonValue() }, { requiredKeys: ['type'] }).map(value => JSON.stringify(value)))
  let inbox = await subscriber(t, origin)
  let bad = 0
  await fc.assert(fc.asyncProperty(json, async message => {
    inbox.send(message)
    const { type } = await inbox.nextJson<Message>()
    if (type !== 'error' && type !== 'filtered') throw new Error(type)
    if (type === 'error' && ++bad % 10 === 0) {
      inbox.socket.terminate()
      inbox = await subscriber(t, origin)
    }
  }), { numRuns: 300 })
})

t.test('subscribers to a field with a comma in its name are not those of two fields', async t => {
  const Odd = Type.Object({ a: Type.Number(), b: Type.Number(), 'a,b': Type.Number() })
  const app = await build(t, { resource: { name: 'odds', noun: 'odd', schema: Odd } })
  const origin = await listen(app)
  const [one, two, query] = [await subscriber(t, origin), await subscriber(t, origin), await connect(t, `${origin}/updates?fields=${encodeURIComponent('["a,b"]')}`, subprotocol)]
  await query.next()
  await query.next()
  one.send({ type: 'filter', fields: ['a,b'] })
  two.send({ type: 'filter', fields: ['a', 'b'] })
  await one.next()
  await two.next()
  await request(`${origin}/odds`, 'POST', { a: 1, b: 2, 'a,b': 3 })
  const record = async (inbox: Inbox): Promise<unknown> => {
    const { id, ...rest } = (await inbox.nextJson<{ changes: { record: { id: string } }[] }>()).changes[0]?.record ?? { id: '' }
    return id === '' ? null : rest
  }
  t.same(await record(one), { 'a,b': 3 })
  t.same(await record(two), { a: 1, b: 2 })
  t.same(await record(query), { 'a,b': 3 })
  t.same((await request<object[]>(`${origin}/odds?fields=${encodeURIComponent('["a,b"]')}`)).body.map(found => Object.keys(found)), [['id', 'a,b']])
})

t.test('an app sets the limits of a where, for lists and streams alike', async t => {
  const origin = await listen(await build(t, { maxConditions: 2, maxLevels: 1 }))
  const where = (value: object): string => `where=${encodeURIComponent(JSON.stringify(value))}`
  for (const [value, ok] of [[{ age: 1, job: 'x' }, true], [{ age: { $gt: 1, $lt: 5 }, job: 'x' }, false], [{ $or: [{ age: 1 }] }, false]] as const) {
    t.equal((await request(`${origin}/people?${where(value)}`)).status, ok ? 200 : 400)
    t.equal((await request(`${origin}/updates?${where(value)}`)).status, ok ? 200 : 400)
    const inbox = await subscriber(t, origin)
    inbox.send({ type: 'filter', where: value })
    t.equal((await inbox.nextJson<Message>()).type, ok ? 'filtered' : 'error')
  }
  t.equal((await request(`${origin}/people?where=${encodeURIComponent(nested(1000))}`)).status, 400)
})

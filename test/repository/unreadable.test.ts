import t, { type Test } from 'tap'
import { Type } from '@sinclair/typebox'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { type Connection, findDriver } from '../../repository/sqlite/driver.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { build, driver, listen, request, sqliteOptions } from '../helper.ts'

const openFile = await findDriver(driver().driver)
const schema = Type.Object({ a: Type.Optional(Type.Unknown()) })
const maxRecord = 10_000
const resource = new Resource({ name: 'things', noun: 'thing', schema, maxRecord })

async function open (t: Test, file: string) {
  const failures: string[] = []
  const things = new Repository(resource, await sqlite({ ...driver(), file })(resource), error => failures.push(String(error)))
  t.teardown(() => things.close())
  const told: unknown[] = []
  things.on('change', change => told.push([change.op, change.id, change.before, change.op === 'save' ? change.record : null]))
  return { things, told, failures }
}

/** Another program's connection. */
function other (t: Test, file: string, lax = false): Connection {
  const connection = openFile(file)
  connection.exec(`PRAGMA ignore_check_constraints = ${lax ? 'ON' : 'OFF'}`)
  t.teardown(() => { try { connection.close() } catch {} })
  return connection
}

const nested = (depth: number): string => `{"id":"a","a":${'['.repeat(depth)}${']'.repeat(depth)}}`

/** What is no record under the id `a`; `strict`: the table itself refuses it. */
const unreadable: Readonly<Record<string, { text: string, strict: boolean }>> = {
  'JSON5 names': { text: '{id:"a"}', strict: true },
  'JSON5 quotes': { text: "{'id':'a'}", strict: true },
  'a comment': { text: '{"id":"a"/* */}', strict: true },
  'a comma too many': { text: '{"id":"a",}', strict: true },
  NaN: { text: '{"id":"a","a":NaN}', strict: true },
  Infinity: { text: '{"id":"a","a":Infinity}', strict: true },
  '-Infinity': { text: '{"id":"a","a":-Infinity}', strict: true },
  'a hexadecimal number': { text: '{"id":"a","a":0x10}', strict: true },
  'a plus sign': { text: '{"id":"a","a":+1}', strict: true },
  'a bare point': { text: '{"id":"a","a":.5}', strict: true },
  'a leading zero': { text: '{"id":"a","a":01}', strict: true },
  'a line break in a string': { text: '{"id":"a","a":"x\nevent: delete"}', strict: true },
  'a tab in a string': { text: '{"id":"a","a":"x\ty"}', strict: true },
  'a doubled id': { text: '{"id":"a","id":"b"}', strict: true },
  'an id that is doubled with an escape': { text: '{"id":"a","\\u0069d":"b"}', strict: false },
  'the same id twice': { text: '{"id":"a","id":"a"}', strict: true },
  'a doubled name': { text: '{"id":"a","a":1,"a":2}', strict: false },
  'a doubled name further in': { text: '{"id":"a","a":[{"b":1,"b":2}]}', strict: false },
  'another id': { text: '{"id":"b"}', strict: true },
  'a number as id': { text: '{"id":1}', strict: true },
  'no id': { text: '{"a":1}', strict: true },
  'an id further in': { text: '{"a":{"id":"a"}}', strict: true },
  'an array': { text: '["a"]', strict: true },
  'a string': { text: '"a"', strict: true },
  null: { text: 'null', strict: true },
  'no text': { text: '', strict: true },
  'no JSON': { text: 'a', strict: true },
  'half of it': { text: '{"id":"a"', strict: true },
  'something after it': { text: '{"id":"a"}{}', strict: true },
  'two numbers': { text: '{"id":"a","a":1 2}', strict: true },
  'a byte order mark': { text: '\ufeff{"id":"a"}', strict: true },
  '101 levels': { text: nested(100), strict: false },
  '1,200 levels': { text: nested(1200), strict: false },
  'a number that no double holds': { text: '{"id":"a","a":1e400}', strict: false },
  'an escape for U+0000': { text: '{"id":"a","a":"\\u0000"}', strict: false },
  'half a surrogate pair': { text: '{"id":"a","a":"\\ud800"}', strict: false },
  'more than a record may hold': { text: JSON.stringify({ id: 'a', a: 'x'.repeat(maxRecord) }), strict: false },
  'more bytes than a record may hold': { text: JSON.stringify({ id: 'a', a: 'ä'.repeat(maxRecord / 2) }), strict: false }
}

const readable: Readonly<Record<string, { text: string, json?: string }>> = {
  plain: { text: '{"id":"a","a":1}' },
  'the id last': { text: '{"a":1,"id":"a"}' },
  'white space': { text: '{\n\t"id" : "a",\r\n "a" : [ 1, { "b" : " x  y " } ] }\n', json: '{"id":"a","a":[1,{"b":" x  y "}]}' },
  'names in an order that JavaScript would not keep': { text: '{ "id": "a", "2": 1, "1": 2 }', json: '{"id":"a","2":1,"1":2}' },
  'white space beside escapes': { text: '{"id": "a", "a": "\\" , \\\\"}', json: '{"id":"a","a":"\\" , \\\\"}' },
  'a whole pair of surrogates': { text: '{"id":"a","a":"\\ud83d\\ude00"}' },
  'line separators of Unicode': { text: '{"id":"a","a":"\u2028"}' },
  'numbers as they were written': { text: '{"id":"a","a":[1.0,1e2,-0,9007199254740993,12345678901234567890]}' },
  'a name with an escape': { text: '{"id":"a","\\u0061":1}' },
  'another id further in': { text: '{"id":"a","a":{"id":"b"}}' },
  'brackets in strings': { text: JSON.stringify({ id: 'a', a: '[{'.repeat(200) }) },
  '100 levels': { text: nested(99) },
  'what the schema does not know': { text: '{"id":"a","b":true,"__proto__":null}' },
  'as much as a record may hold': { text: JSON.stringify({ id: 'a', a: 'x'.repeat(maxRecord - 17) }) }
}

const good = '{"id":"a","a":0}'
const parsed = JSON.parse(good) as unknown

t.test('what is no record is refused at the table, as far as that can tell', async t => {
  const { file } = sqliteOptions(t)
  await open(t, file)
  const connection = other(t, file)
  for (const [what, { text, strict }] of Object.entries(unreadable)) {
    if (!strict) continue
    t.throws(() => connection.prepare('INSERT INTO things (id, record) VALUES (?, ?)').run('a', text), { message: /record_is_a_json_object_with_its_id/ }, what)
  }
  for (const id of ['', 'A', 'a b', 'a"', 'a\\', 'a\n', 'a]', 'ä', 'x'.repeat(101)]) {
    t.throws(() => connection.prepare('INSERT INTO things (id, record) VALUES (?, ?)').run(id, JSON.stringify({ id })), { message: /id_is_plain/ }, JSON.stringify(id))
  }
  t.throws(() => connection.exec(`INSERT INTO things (id, record) VALUES ('a', CAST('${good}' AS BLOB))`), { message: /BLOB/ })
  t.throws(() => connection.exec(`INSERT INTO things (id, record) VALUES ('a', '${good}' || char(0) || 'x')`), { message: /constraint/ })
})

t.test('a row that is no record counts as absent, wherever it comes from and goes to', async t => {
  const { file } = sqliteOptions(t)
  const { things, told, failures } = await open(t, file)
  const connection = other(t, file, true)
  const insert = connection.prepare('INSERT INTO things (id, record) VALUES (?, ?)')
  const update = connection.prepare('UPDATE things SET record = ? WHERE id = ?')
  insert.run('b', '{"id":"b"}')
  for (const [what, { text }] of Object.entries(unreadable)) {
    const start = things.log.position
    await things.log.refresh()
    told.length = 0
    insert.run('a', text)
    await things.log.refresh()
    t.same(told, [], `${what}: nobody is told of it`)
    t.equal(await things.get('a'), null, what)
    const { items } = await things.list({ where: null, sort: [], limit: 1, after: null })
    t.same(items.map(({ id }) => id), ['b'], `${what}: the list goes on behind it`)
    update.run(good, 'a')
    update.run(text, 'a')
    update.run(`${text} `, 'a')
    update.run(good, 'a')
    await things.log.refresh()
    t.same(told, [['save', 'a', null, parsed], ['delete', 'a', parsed, null], ['save', 'a', null, parsed]], what)
    const snapshot = things.log.snapshot(null)
    update.run(text, 'a')
    connection.exec('DELETE FROM things WHERE id = \'a\'')
    t.same((await snapshot.next())?.map(({ json }) => json), [good, '{"id":"b"}'], `${what}: undone in a snapshot`)
    const { entries } = await things.log.changes(start, 100)
    t.same(entries.slice(-7).map(({ json, beforeJson }) => [beforeJson, json]), [[null, null], [null, good], [good, null], [null, null], [null, good], [good, null], [null, null]], `${what}: in the log`)
  }
  await things.log.refresh()
  t.match(failures, [/id "a" is no record/], 'it is logged once')
  t.equal(failures.length, 1)
})

t.test('what is a record is one, as it was written but for white space between its parts', async t => {
  const { file } = sqliteOptions(t)
  const { things, failures } = await open(t, file)
  const connection = other(t, file)
  for (const [what, { text, json = text }] of Object.entries(readable)) {
    connection.prepare('INSERT INTO things (id, record) VALUES (?, ?)').run('a', text)
    t.equal((await things.get('a'))?.json, json, what)
    connection.exec('DELETE FROM things')
    await things.log.refresh()
    const { entries } = await things.log.changes(things.log.position - 2, 2)
    t.same(entries.map(entry => [entry.beforeJson, entry.json]), [[null, json], [json, null]], what)
  }
  t.same(failures, [])
})

t.test('rows with ids that fit no address or frame are no records', async t => {
  const { file } = sqliteOptions(t)
  const { things } = await open(t, file)
  const connection = other(t, file, true)
  for (const id of ['A', 'a"', 'a\\', 'a\nb', 'a b', 'a]', 'ä', '', 'x'.repeat(101)]) connection.prepare('INSERT INTO things (id, record) VALUES (?, ?)').run(id, JSON.stringify({ id }))
  await things.log.refresh()
  t.same((await things.list({ where: null, sort: [], limit: 100, after: null })).items, [])
  t.same((await things.log.changes(0, 100)).entries.map(({ json }) => json), Array(9).fill(null))
})

t.test('over HTTP such a row is not found, can be deleted, and put anew', async t => {
  const options = sqliteOptions(t)
  const app = await build(t, { resource: { name: 'things', schema }, repository: sqlite(options) })
  const base = await listen(app)
  const url = `${base}/things`
  const connection = other(t, options.file, true)
  const id = '01a20534-c25c-7000-9154-5bef6f8084dc'
  const spoil = (): void => { connection.prepare('INSERT OR REPLACE INTO things (id, record) VALUES (?, ?)').run(id, '{"a":NaN}') }
  spoil()
  t.equal((await request(`${url}/${id}`)).status, 404)
  t.equal((await request(`${url}/${id}`, 'PUT', { a: 1 })).status, 404)
  t.equal((await request(`${url}/${id}`, 'PATCH', { a: 1 })).status, 404)
  t.equal((await request(`${url}/${id}`, 'DELETE', undefined, { 'if-match': '*' })).status >= 400, true)
  const deleted = await request(`${url}/${id}`, 'DELETE')
  t.equal(deleted.status, 204)
  t.ok(deleted.headers.get('change-cursor'))
  t.equal((await request(`${url}/${id}`, 'DELETE')).status, 404, 'it is gone now')
  spoil()
  const put = await request(`${url}/${id}`, 'PUT', { a: 1 }, { 'if-none-match': '*' })
  t.equal(put.status, 201)
  t.same((await request(`${url}/${id}`)).body, { id, a: 1 })
  spoil()
  t.equal((await request(url, 'POST', { a: 2 })).status, 201)
  const feed = await request<{ changes: { op: string, id: string }[] }>(`${base}/updates?since=start`, 'GET', undefined, { accept: 'application/json' })
  t.same(feed.body.changes.map(({ op }) => op), ['save', 'delete', 'save'])
})

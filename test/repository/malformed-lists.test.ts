import { Type } from '@sinclair/typebox'
import t from 'tap'
import { parseSort } from '../../protocol/sort.ts'
import { parseWhere } from '../../protocol/where.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { findDriver } from '../../repository/sqlite/driver.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { driver, sqliteOptions } from '../helper.ts'

const schema = Type.Object({ n: Type.Optional(Type.Union([Type.Number(), Type.Null()])), s: Type.Optional(Type.String()), o: Type.Optional(Type.Object({ b: Type.Boolean() })), l: Type.Optional(Type.Array(Type.Number())) })
const resource = new Resource({ name: 'things', noun: 'thing', schema })
const { properties } = resource

const malformed = ['', ' ', 'no json', '{', '{"n":1', '{"n":1}}', '[', '{n:1}', '{"n":NaN}', '{"n":01}', '{"n":"\\x"}', '\u0000', '{"n":1}\u0000', '{"n":"\u0000"}', '\ufeff{}', '{"n":.5}', '"n"', '1', 'null', '[1]', '{}', `${'{"n":'.repeat(1200)}1${'}'.repeat(1200)}`, `{"n":${'['.repeat(2000)}`]

const wheres = [
  null,
  ...[1, null].flatMap(n => [{ n }, { n: { $ne: n } }, { n: { $in: [n, 2] } }, { n: { $nin: [n, 2] } }]),
  ...['$gt', '$gte', '$lt', '$lte'].flatMap(operator => [{ n: { [operator]: 5 } }, { s: { [operator]: 's5' } }, { l: { [operator]: 3 } }]),
  { s: 's1' }, { s: { $in: ['s1', 's2'] } }, { s: { $nin: ['s1'] } }, { 'o.b': true }, { 'o.b': { $ne: true } }, { l: 1 }, { l: { $in: [1, 2] } }, { l: { $ne: 1 } },
  { $or: [{ n: 1 }, { s: 's2' }, { $and: [{ n: { $gt: 3 } }, { 'o.b': false }] }] }
]

t.test('a list is whole and no fault of the store\'s, whatever malformed rows stand between the records', async t => {
  const { file } = sqliteOptions(t)
  const things = new Repository(resource, await sqlite({ ...driver(), file })(resource), () => {})
  t.teardown(() => things.close())
  const saved = await things.createAll(Array.from({ length: 60 }, (_, index) => ({ n: index % 3 === 0 ? null : index % 11, s: `s${index % 7}`, o: { b: index % 2 === 0 }, l: [index % 4, index % 5] })))
  const connection = (await findDriver(driver().driver))(file)
  t.teardown(() => connection.close())
  connection.exec('PRAGMA ignore_check_constraints = ON')
  const ids = saved.map(({ id }) => id)
  const spoil = (end: string): void => {
    for (const [index, text] of malformed.entries()) connection.prepare('INSERT OR REPLACE INTO things (id, record) VALUES (?, ?)').run(`${ids[index * 2]}${end}`, text)
  }
  const read = async (where: object | null, sort: string, limit: number): Promise<readonly string[]> => {
    const query = { where: where && parseWhere(where, properties), sort: sort === '' ? [] : parseSort(sort, properties), limit }
    const found: string[] = []
    for (let page = await things.list({ ...query, after: null }); ; page = await things.list({ ...query, after: page.next })) {
      found.push(...page.items.map(({ id }) => id))
      if (page.next === null) return found
    }
  }
  const asked = wheres.flatMap(where => ['', 'n', '-s', 'o.b,-n', '-id'].flatMap(sort => [7, 1000].map(limit => ({ where, sort, limit }))))
  const expected = await Promise.all(asked.map(({ where, sort, limit }) => read(where, sort, limit)))
  for (const end of 'az') spoil(end)
  await things.log.refresh()
  for (const [index, { where, sort, limit }] of asked.entries()) {
    const found = await read(where, sort, limit).catch(String)
    if (String(found) !== String(expected[index])) return t.same(found, expected[index], `${JSON.stringify(where)}, sort=${sort}, limit=${limit}`)
  }
  const snapshots = wheres.map(where => things.log.snapshot(where && parseWhere(where, properties)))
  connection.exec('DELETE FROM things WHERE id LIKE \'%z\' AND NOT json_valid(record)')
  for (const [index, snapshot] of snapshots.entries()) {
    let pieces = 0
    for (let piece = await snapshot.next(); piece; piece = await snapshot.next()) pieces += piece.length
    const all = await read(wheres[index] ?? null, '', 1000)
    if (pieces < all.length) t.fail(`a snapshot of ${JSON.stringify(wheres[index])}`)
  }
  t.ok(expected.some(found => found.length > 7))
})

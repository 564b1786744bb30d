import t from 'tap'
import { Type } from '@sinclair/typebox'
import type { Json } from '../../protocol/change.ts'
import { compile } from '../../protocol/predicate.ts'
import { type SortPlace, comparePlaces, parseSort, sortKeysOf } from '../../protocol/sort.ts'
import { parseWhere } from '../../protocol/where.ts'
import { Resource } from '../../repository/resource.ts'
import { findDriver } from '../../repository/sqlite/driver.ts'
import { betweenSql } from '../../repository/sqlite/order.ts'
import { type Sql, readably, whereSql } from '../../repository/sqlite/where.ts'
import { driver } from '../helper.ts'

const openFile = await findDriver(driver().driver)

/** What JSON can say and another program may have written: not all of it is read alike everywhere. */
const values = [
  'null', 'true', 'false', '[]', '[1,"x"]', '{"v":1}',
  '0', '-0', '1', '1.0', '1e0', '-1', '0.1', '0.10000000000000000555', '36', '36.0000000000000000001', '36.00000000000000355271367880050093', '36.000000000000007',
  '9007199254740991', '9007199254740992', '9007199254740993', '9007199254740999', '-9007199254740993', '9223372036854775807', '9223372036854775808', '1e19', '18446744073709551616',
  '5e-324', '2.4703282292062327e-324', '2.2250738585072011e-308', '1.7976931348623157e308', '1.7976931348623158e308', '1e400', '-1e400', '1e15', '1e-15', '999999999999999.9', '123456789012345678901234567890e-29',
  '""', '"a"', '"ab"', '"A"', '"\\u0061"', '"\\ud800"', '"\\udfff"', '"\\ud83d\\ude00"', '"\\ud83dx"', '"\\ue000"', '"\uffff"', '"\u{10ffff}"', '"1"', '"true"', '"null"', '"[]"', '"é"', '"e\u0301"',
  ...['x', '\u{1f600}', '\u{10ffff}'].flatMap(character => [255, 256, 257].flatMap(count => ['', 'a', '\u{10ffff}'].map(end => `"${character.repeat(count)}${end}"`)))
]

const records = [
  ...values.map((text, index) => `{"id":"${String(index).padStart(3, '0')}","v":${text},"w":${values[(index * 7) % 20]}}`),
  '{"id":"800"}', ' {"id": "801",\n"v" : 36 }', '{"id":"802","\\u0076":36}'
]

const scalar = Type.Union([Type.Null(), Type.Boolean(), Type.Number(), Type.String()])
const { properties } = new Resource({ name: 'odd', noun: 'odd', schema: Type.Object({ v: Type.Optional(scalar), w: Type.Optional(scalar), 'q"': Type.Optional(scalar) }) })

const connection = openFile(':memory:')
t.teardown(() => connection.close())
connection.exec('CREATE TABLE records (id TEXT NOT NULL PRIMARY KEY, record TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 0)')
const parsed = records.map(text => JSON.parse(text) as Json)
for (const [index, text] of records.entries()) connection.prepare('INSERT INTO records (id, record) VALUES (?, ?)').run(parsed[index]?.id ?? '', text)

function throughSql (sql: Sql): Set<string> {
  const { text, values } = readably(sql, 1_048_576)
  return new Set((connection.prepare(`SELECT id FROM records WHERE ${text}`).all(...values) as { id: string }[]).map(row => row.id))
}

t.test('SQL leaves out nothing that is between two places of a sorted list, whatever stands there', async t => {
  let [between, through] = [0, 0]
  for (const text of ['v', '-v', 'w,v', '-w,v', 'w,-v', '-w,-v,id', 'q",v', 'v,q",w']) {
    const sort = parseSort(text, properties)
    const places: (SortPlace | null)[] = [null, ...parsed.map(record => ({ keys: sortKeysOf(record, sort), id: record.id }))]
    for (const [index, after] of places.entries()) {
      const before = places[(index * 31 + 5) % places.length] ?? null
      for (const [low, high] of [[after, null], [null, after], [after, before]] as const) {
        const found = throughSql(betweenSql(sort, low, high))
        through += found.size
        for (const record of parsed) {
          const place = { keys: sortKeysOf(record, sort), id: record.id }
          if ((low && comparePlaces(place, low, sort) <= 0) || (high && comparePlaces(place, high, sort) >= 0)) continue
          between++
          if (!found.has(record.id)) return t.fail(`sort=${text} lost ${JSON.stringify(record)}`, { low, high })
        }
      }
    }
  }
  t.ok(through < between * 1.5, `it lets ${through} through for ${between} that are between`)
})

t.test('SQL leaves out nothing that a where matches, whatever stands there', async t => {
  const operands = [...new Set(values.map(text => JSON.parse(text) as unknown))].filter(value => (typeof value !== 'object' || value === null) && (typeof value !== 'number' || Number.isFinite(value)) && (typeof value !== 'string' || value.isWellFormed()))
  for (const operand of operands) {
    const wheres = [operand, { $ne: operand }, { $in: [operand, 36] }, { $nin: [operand, 'a'] }, ...(operand === null ? [] : [{ $gt: operand }, { $gte: operand }, { $lt: operand }, { $lte: operand }])]
    for (const condition of wheres) {
      for (const whole of [{ v: condition }, { $or: [{ v: condition }, { w: 1 }] }, { $and: [{ v: condition }, { w: { $ne: 1 } }] }]) {
        const where = parseWhere(whole, properties)
        const found = throughSql(whereSql(where))
        const matches = compile(where)
        for (const record of parsed) if (matches(record) && !found.has(record.id)) return t.fail(`${JSON.stringify(whole)} lost ${JSON.stringify(record)}`)
      }
    }
  }
  t.pass()
})

t.test('SQL lets through what it can not read', async t => {
  const table = ['', 'no json', '{"v":36', '[', '{v:36}', '{"v":NaN}', '{"v":Infinity}', `${'{"v":'.repeat(1200)}1${'}'.repeat(1200)}`]
  const odd = table.map((_, index) => `odd ${index}`)
  for (const [index, text] of table.entries()) connection.prepare('INSERT INTO records (id, record) VALUES (?, ?)').run(odd[index] ?? '', text)
  connection.prepare('INSERT INTO records (id, record, version) VALUES (?, ?, 7)').run('odd large', '') // was too large to be noted
  odd.push('odd large')
  t.teardown(() => connection.exec('DELETE FROM records WHERE id LIKE \'odd %\''))
  const sort = parseSort('v', properties)
  for (const sql of [whereSql(parseWhere({ v: 36 }, properties)), whereSql(parseWhere({ v: 'x' }, properties)), betweenSql(sort, { keys: [36], id: '' }, { keys: ['a'], id: '' })]) {
    const found = throughSql(sql)
    t.ok(odd.every(id => found.has(id)))
  }
})

import t from 'tap'
import fc from 'fast-check'
import { type TSchema, Type } from '@sinclair/typebox'
import { ChangeStreamError } from '../../protocol/errors.ts'
import { compareCodePoints } from '../../protocol/compare.ts'
import { compile } from '../../protocol/predicate.ts'
import { Properties } from '../../protocol/properties.ts'
import { parseWhere, whereKey } from '../../protocol/where.ts'

const properties = (schema: TSchema): Properties => new Properties(JSON.parse(JSON.stringify(schema)))

const Thing = properties(Type.Object({
  name: Type.String(),
  size: Type.Number(),
  count: Type.Integer(),
  done: Type.Boolean(),
  nick: Type.Optional(Type.String()),
  note: Type.Union([Type.String(), Type.Null()]),
  status: Type.Union([Type.Literal('open'), Type.Literal('paid')]),
  due: Type.String({ format: 'date' }),
  tags: Type.Array(Type.String()),
  at: Type.Object({ city: Type.String(), geo: Type.Optional(Type.Object({ lat: Type.Number() })) }),
  lines: Type.Array(Type.Object({ sku: Type.String() })),
  extra: Type.Record(Type.String(), Type.Number()),
  any: Type.Unknown()
}))

const matches = (where: unknown, record: object): boolean => compile(parseWhere(where, Thing))(record)

t.test('what an operator means', async t => {
  for (const [where, record, expected] of [
    [{ name: 'Ada' }, { name: 'Ada' }, true],
    [{ name: 'Ada' }, { name: 'ada' }, false],
    [{ name: { $ne: 'Ada' } }, { name: 'Grace' }, true],
    [{ size: 1 }, { size: '1' }, false],
    [{ size: 0 }, { size: -0 }, true],
    [{ size: -0 }, { size: 0 }, true],
    [{ size: { $lt: 1e300 } }, { size: 1e299 }, true],
    [{ size: { $gt: 5 } }, { size: 'text' }, false],
    [{ done: true }, { done: 1 }, false],
    [{ done: { $gt: false } }, { done: true }, true],
    [{ nick: null }, {}, true],
    [{ nick: null }, { nick: null }, true],
    [{ nick: null }, { nick: '' }, false],
    [{ nick: { $ne: null } }, {}, false],
    [{ nick: { $ne: 'x' } }, {}, true],
    [{ nick: { $nin: ['x', 'y'] } }, {}, true],
    [{ nick: { $in: [null, 'x'] } }, {}, true],
    [{ nick: { $gte: '' } }, {}, false],
    [{ note: { $in: [] } }, { note: 'x' }, false],
    [{ note: { $nin: [] } }, { note: 'x' }, true],
    [{ tags: 'a' }, { tags: ['b', 'a'] }, true],
    [{ tags: 'a' }, { tags: [] }, false],
    [{ tags: { $ne: 'a' } }, { tags: ['b', 'a'] }, false],
    [{ tags: { $nin: ['c'] } }, { tags: ['b', 'a'] }, true],
    [{ tags: { $gt: 'a', $lt: 'b' } }, { tags: ['A', 'c'] }, true], // each by another element
    [{ 'at.city': 'Turin' }, { at: { city: 'Turin' } }, true],
    [{ 'at.geo.lat': null }, { at: {} }, true],
    [{ 'at.geo.lat': { $gt: 40 } }, { at: { geo: { lat: 45 } } }, true],
    [{ 'extra.x': 1 }, { extra: { x: 1 } }, true],
    [{ 'extra.toString': null }, { extra: {} }, true], // own properties alone
    [{ name: { $gt: '\uffff' } }, { name: '\u{1f600}' }, true],
    [{ count: { $gte: 1, $lte: 3 } }, { count: 2 }, true],
    [{ count: 2, name: 'x' }, { count: 2, name: 'y' }, false],
    [{ $or: [{ count: 1 }, { count: 2 }] }, { count: 2 }, true],
    [{ $and: [{ count: 1 }, { name: 'x' }] }, { count: 1, name: 'x' }, true],
    [{ $or: [{ count: 1 }], name: 'x' }, { count: 1, name: 'y' }, false],
    [{ any: 'x' }, { any: { x: 1 } }, false],
    [{}, {}, true]
  ] as const) t.equal(matches(where, record), expected, `${JSON.stringify(where)} on ${JSON.stringify(record)}`)
})

t.test('a long array is asked as a short one is', async t => {
  const Lists = properties(Type.Object({ mixed: Type.Array(Type.Union([Type.Number(), Type.String(), Type.Boolean(), Type.Null()])) }))
  const scalar = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom(-0, 1e300, '', 'a', 'b', '\u{1f600}', '\uffff', true, false, null))
  const condition = fc.oneof(
    fc.record({ $ne: scalar }), fc.record({ $in: fc.array(scalar, { maxLength: 3 }) }), fc.record({ $nin: fc.array(scalar, { maxLength: 3 }) }), scalar,
    fc.tuple(fc.constantFrom('$gt', '$gte', '$lt', '$lte'), scalar.filter(value => value !== null)).map(([operator, value]) => ({ [operator]: value }))
  )
  fc.assert(fc.property(fc.array(scalar, { maxLength: 6 }), condition, (few, asked) => {
    const where = parseWhere({ mixed: asked }, Lists)
    const many = few.length === 0 ? [] : Array.from({ length: 1500 }, (_, index) => few[index % few.length])
    const matches = compile(where)
    const record = { mixed: many }
    return Array.from({ length: 10 }, () => matches(record)).every(found => found === matches({ mixed: few }))
  }))
})

t.test('each element of a long array is looked at a few times, however many conditions ask', async t => {
  let reads = 0
  const tags = new Proxy(Array.from({ length: 10_000 }, (_, index) => String(index % 5000)), {
    get (target, key, receiver) {
      if (typeof key === 'string' && /^\d+$/.test(key)) reads++
      return Reflect.get(target, key, receiver)
    }
  })
  const record = { tags }
  for (const operator of ['$ne', '$gt', '$lte']) matches({ $or: Array.from({ length: 30 }, (_, index) => ({ tags: { [operator]: `x${index}` } })) }, record)
  t.not(matches({ tags: { $nin: ['1'] } }, record), true)
  t.ok(reads <= 9 * 10_000, `${reads} times`)
})

t.test('a where that can not be meant is refused, naming what is wrong', async t => {
  for (const [where, named] of [
    [{ height: 1 }, '"height"'], [{ 'at.zip': 1 }, '"at.zip"'], [{ 'name.first': 'x' }, '"name.first"'], [{ __proto__x: 1 }, '"__proto__x"'], [{ constructor: 1 }, '"constructor"'],
    [{ at: {} }, '"at"'], [{ at: 'x' }, '"at"'], [{ lines: 'x' }, '"lines"'], [{ 'lines.sku': 'x' }, '"lines.sku"'],
    [{ name: 1 }, '"name"'], [{ name: null }, '"name"'], [{ size: '1' }, '"size"'], [{ done: 'yes' }, '"done"'], [{ name: ['a'] }, '"name"'], [{ tags: ['a'] }, '"tags"'], [{ tags: 1 }, '"tags"'],
    [{ name: { $gt: null } }, '"name"'], [{ nick: { $gt: null } }, '"nick"'], [{ name: {} }, '"name"'], [{ name: { first: 1 } }, '"first"'],
    [{ name: { $regex: 'x' } }, '"$regex"'], [{ name: { $eq: 'x' } }, '"$eq"'], [{ $where: 'x' }, '"$where"'], [{ $not: {} }, '"$not"'], [{ name: { $not: { $gt: 'x' } } }, '"$not"'],
    [{ name: { $in: 'x' } }, '$in'], [{ name: { $in: [1] } }, '"name"'], [{ $or: [] }, '$or'], [{ $or: {} }, '$or'], [{ $and: ['x'] }, '$and[0]'],
    [{ name: '\ud800' }, '"name"'], [{ status: 1 }, '"status"'], [[], 'where'], ['x', 'where'], [7, 'where']
  ] as const) {
    try {
      parseWhere(where, Thing)
      t.fail(JSON.stringify(where))
    } catch (error) {
      t.ok(error instanceof ChangeStreamError && error.code === 'invalid-where')
      t.match(String(error), named, JSON.stringify(where))
    }
  }
})

t.test('a where has at most 100 conditions and 8 levels', async t => {
  const conditions = (count: number): object => ({ $or: Array.from({ length: count }, (_, index) => ({ count: index })) })
  t.doesNotThrow(() => parseWhere(conditions(100), Thing))
  t.throws(() => parseWhere(conditions(101), Thing), { code: 'invalid-where', message: /100/ })
  const levels = (depth: number): object => depth === 1 ? { count: 1 } : { $and: [levels(depth - 1)] }
  t.doesNotThrow(() => parseWhere(levels(8), Thing))
  t.throws(() => parseWhere(levels(9), Thing), { code: 'invalid-where', message: /8/ })
})

t.test('equal conditions have equal keys, however they are written', async t => {
  const key = (where: unknown): string => whereKey(parseWhere(where, Thing))
  t.equal(key({ name: 'x', count: 1 }), key({ count: 1, name: 'x' }))
  t.equal(key({ $and: [{ name: 'x' }, { count: 1 }] }), key({ count: 1, name: 'x' }))
  t.equal(key({ count: { $in: [2, 1, 2] } }), key({ count: { $in: [1, 2] } }))
  t.equal(key({ count: { $in: [1] } }), key({ count: 1 }))
  t.equal(key({ $or: [{ count: 1 }, { count: 1 }] }), key({ count: 1 }))
  t.equal(key({ $or: [{ count: 1 }, {}] }), key({}))
  t.not(key({ count: 1 }), key({ size: 1 }))
})

t.test('strings are ordered by code point, as their UTF-8 is', async t => {
  const strings = ['', 'a', 'A', 'ab', 'é', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{1f600}', '\u{10ffff}', 'a\u{1f600}', 'a\uffff']
  for (const a of strings) {
    for (const b of strings) t.equal(Math.sign(compareCodePoints(a, b)), Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))), `${a} ${b}`)
  }
})

t.test('schemas of every make can be asked', async t => {
  const Node = Type.Recursive(This => Type.Object({ label: Type.String(), next: Type.Optional(This) }))
  const recursive = properties(Node)
  t.doesNotThrow(() => parseWhere({ 'next.next.label': 'x' }, recursive))
  t.throws(() => parseWhere({ 'next.next.name': 'x' }, recursive))
  const union = properties(Type.Union([Type.Object({ kind: Type.Literal('a'), x: Type.Number() }), Type.Object({ kind: Type.Literal('b'), y: Type.String() })]))
  t.doesNotThrow(() => parseWhere({ kind: 'a', x: null, y: 'z' }, union), 'a property of one branch may be absent')
  t.throws(() => parseWhere({ kind: null }, union), 'one of both may not')
  const both = properties(Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Number() })]))
  t.doesNotThrow(() => parseWhere({ a: 'x', b: 1, id: 'y' }, both))
  t.throws(() => parseWhere({ a: null }, both))
})

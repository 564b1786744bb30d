import { type TSchema, Type } from '@sinclair/typebox'
import t from 'tap'
import { ChangeStreamError } from '../../protocol/errors.ts'
import { fieldsKey, filterKey, everything, parseFields } from '../../protocol/filter.ts'
import { pick } from '../../protocol/fields.ts'
import { compile } from '../../protocol/predicate.ts'
import { Properties } from '../../protocol/properties.ts'
import { parseSort, sortKeysOf } from '../../protocol/sort.ts'
import { parseWhere } from '../../protocol/where.ts'

const properties = (schema: object, limits?: { conditions: number, levels: number }): Properties => new Properties(JSON.parse(JSON.stringify(schema)), limits)
const text = { type: 'string' }
const object = (members: object, more: object = {}): object => ({ type: 'object', properties: members, required: Object.keys(members), ...more })

const Module = Type.Module({
  Address: Type.Object({ city: Type.String(), next: Type.Optional(Type.Ref('Address')) }),
  Home: Type.Intersect([Type.Object({ name: Type.String() }), Type.Object({ at: Type.Ref('Address') })])
})

t.test('a where sees through every kind of reference and composition', async t => {
  for (const [name, schema, good, bad] of [
    ['#/$defs', object({ at: { $ref: '#/$defs/At' } }, { $defs: { At: object({ city: text }) } }), [{ 'at.city': 'x' }], [{ 'at.zip': 'x' }, { 'at.city': 1 }, { 'at.city': null }]],
    ['#/definitions', object({ at: { $ref: '#/definitions/At' } }, { definitions: { At: object({ city: text }) } }), [{ 'at.city': 'x' }], [{ 'at.zip': 'x' }]],
    ['a relative $id', object({ at: { $ref: 'at' } }, { $id: 'https://example.com/home', $defs: { At: object({ city: text }, { $id: 'at' }) } }), [{ 'at.city': 'x' }], [{ 'at.zip': 'x' }]],
    ['an absolute $id', object({ at: { $ref: 'https://example.com/at' } }, { $id: 'https://example.com/home', $defs: { At: object({ city: text }, { $id: 'at' }) } }), [{ 'at.city': 'x' }], [{ 'at.zip': 'x' }]],
    ['an $anchor', object({ at: { $ref: '#at' } }, { $defs: { At: object({ city: text }, { $anchor: 'at' }) } }), [{ 'at.city': 'x' }], [{ 'at.zip': 'x' }]],
    ['a module', Module.Import('Home'), [{ name: 'x', 'at.city': 'x', 'at.next.next.city': null }], [{ 'at.zip': 'x' }, { name: 1 }, { name: null }]],
    ['nullable', object({ a: { ...text, nullable: true }, o: object({ x: text }, { nullable: true }) }), [{ a: null }, { a: 'x' }, { 'o.x': null }], [{ a: 1 }]],
    ['if and then', object({ kind: text }, { if: { properties: { kind: { const: 'n' } } }, then: { properties: { n: { type: 'number' } } } }), [{ n: 1 }, { n: null }, { kind: 'x' }], [{ n: 'x' }, { m: 1 }, { kind: 1 }]],
    ['dependentSchemas', object({}, { dependentSchemas: { a: { properties: { b: text } } } }), [{ b: 'x' }], [{ c: 1 }]],
    ['properties beside oneOf', object({ a: text }, { oneOf: [{ properties: { b: text } }, { properties: { c: text } }] }), [{ a: 'x', b: 'y', c: null }], [{ d: 1 }]],
    ['allOf with a part that only requires', object({ a: text }, { allOf: [{ required: ['a'] }, {}] }), [{ a: 'x' }], [{ b: 'x' }]],
    ['patternProperties', object({}, { patternProperties: { '^x': text } }), [{ xy: 'x' }], [{ y: 'x' }]],
    ['a property with true for a schema', object({ a: true, b: {} }), [{ a: 1, b: 'x' }, { 'a.deep': true }], [{ c: 1 }]],
    ['names of Object.prototype', object({ constructor: text, toString: { type: 'number' } }, { required: [] }), [{ constructor: 'x', toString: 1 }, { constructor: null }], [{ valueOf: 1 }, { hasOwnProperty: null }, { toString: 'x' }, { __proto__x: 1 }]]
  ] as const) {
    const known = properties(schema)
    for (const where of good) t.doesNotThrow(() => parseWhere(where, known), `${name}: ${JSON.stringify(where)}`)
    for (const where of bad) t.throws(() => parseWhere(where, known), { code: 'invalid-where' }, `${name}: ${JSON.stringify(where)}`)
  }
})

t.test('where, sort and fields look at own properties alone', async t => {
  const known = properties(Type.Object({ constructor: Type.Optional(Type.String()), toString: Type.Optional(Type.Number()), valueOf: Type.Optional(Type.Object({ x: Type.Number() })) }) as TSchema)
  const record = JSON.parse('{"id":"1","toString":5}') as { id: string }
  for (const [where, matches] of [[{ constructor: null }, true], [{ constructor: { $ne: null } }, false], [{ toString: 5 }, true], [{ toString: { $gt: 4 } }, true], [{ 'valueOf.x': null }, true]] as const) {
    t.equal(compile(parseWhere(where, known))(record), matches, JSON.stringify(where))
  }
  t.same(sortKeysOf(record, parseSort('constructor,-toString', known)), [null, 5])
  t.equal(JSON.stringify(pick(record, parseFields('constructor,toString,valueOf', known))), '{"id":"1","toString":5}')
  t.equal(JSON.stringify(pick(JSON.parse('{"id":"1","__proto__":{"x":1}}'), ['__proto__'])), '{"id":"1","__proto__":{"x":1}}')
})

t.test('a where of any length on a schema that contains itself is answered at once', async t => {
  const Tree = Type.Recursive(This => Type.Union([Type.Object({ next: This, a: Type.String() }), Type.Object({ next: This, b: Type.String() })]))
  const known = properties(Type.Object({ tree: Tree }))
  t.doesNotThrow(() => parseWhere({ [`tree${'.next'.repeat(98)}.a`]: 'x' }, known))
  t.throws(() => parseWhere({ [`tree${'.next'.repeat(99)}.a`]: 'x' }, known), { code: 'invalid-where', message: /deeper than 100 levels/ })
  t.throws(() => parseWhere({ ['tree' + '.next'.repeat(5000)]: 'x' }, known), { code: 'invalid-where' })
})

t.test('the limits of a where are those of its properties', async t => {
  const known = properties(object({ n: { type: 'number' } }), { conditions: 3, levels: 2 })
  t.doesNotThrow(() => parseWhere({ $or: [{ n: 1 }, { n: 2 }, { n: 3 }] }, known))
  t.throws(() => parseWhere({ $or: [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }] }, known), { code: 'invalid-where', message: /more than 3 conditions/ })
  t.throws(() => parseWhere({ $or: [{ $and: [{ n: 1 }] }] }, known), { code: 'invalid-where', message: /more than 2 levels/ })
  const most = Array.from({ length: 8192 }, (_, index) => index)
  t.doesNotThrow(() => parseWhere({ n: { $in: most } }, known))
  t.throws(() => parseWhere({ n: { $in: [...most, -1] } }, known), { code: 'invalid-where', message: /8192 values/ })
  t.throws(() => parseWhere({ $or: [{ n: { $in: most } }, { n: -1 }] }, known), { code: 'invalid-where', message: /8192 values/ })
})

t.test('what a where is refused for is told in bounded words', async t => {
  const known = properties(object({ s: text }))
  const long = 'x'.repeat(100_000)
  for (const where of [{ [long]: 1 }, { [`$${long}`]: 1 }, { s: { [`$${long}`]: 1 } }, { [`s.${long}`]: 1 }, { s: { $gt: [long] } }, { s: { $in: long } }, long, { s: `${long}\ud800` }, { s: { $in: [5, long] } }, { $and: long }]) {
    try {
      parseWhere(where, known)
      t.fail('to be refused')
    } catch (error) {
      t.ok(error instanceof ChangeStreamError && error.message.length < 500, String(error).slice(0, 100))
    }
  }
  t.throws(() => parseFields(long, known), { code: 'invalid-query', message: /^.{1,300}$/ })
})

t.test('fields with a comma in their names are told from two fields', async t => {
  const known = properties(object({ a: text, b: text, 'a,b': text, '[x]': text, ' c': text }))
  t.same(parseFields('a,b', known), ['a', 'b'])
  t.same(parseFields('["a,b"]', known), ['a,b'])
  t.same(parseFields(' ["a,b","[x]"," c"]', known), [' c', '[x]', 'a,b'].sort())
  t.same(parseFields(['a,b'], known), ['a,b'])
  for (const bad of ['[x]', '[', '["a"', '["z"]', '[1]', '[["a"]]', '["a"],b', '{}']) t.throws(() => parseFields(bad, known), { code: 'invalid-query' }, bad)
  const keys = [null, [], ['a', 'b'], ['a,b'], ['a', 'b,c'], ['a,b', 'c'], ['*'], ['"a"'], ['a","b']].map(fields => fieldsKey(fields))
  t.equal(new Set(keys).size, keys.length)
  t.not(filterKey({ ...everything, fields: ['a,b'] }), filterKey({ ...everything, fields: ['a', 'b'] }))
})

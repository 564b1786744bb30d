import { Type } from '@sinclair/typebox'
import fc from 'fast-check'
import t from 'tap'
import { type BodyError, ChangeStreamError } from '../../protocol/errors.ts'
import { Batch } from '../../repository/batch.ts'
import { mergePatch } from '../../repository/merge-patch.ts'
import { Resource, invalidBody } from '../../repository/resource.ts'

const resource = (schema: object): Resource => new Resource({ name: 'things', noun: 'thing', schema: schema as ReturnType<typeof Type.Unsafe> })
/** What is wrong with the records of a batch. */
function errorsOfAll (of: Resource, bodies: readonly object[]): readonly BodyError[] {
  const batch = new Batch(of, bodies as never)
  while (batch.check());
  try {
    batch.creations()
  } catch (error) {
    return (error as ChangeStreamError).errors ?? []
  }
  return []
}

const inherited = Object.getOwnPropertyNames(Object.prototype).filter(name => name !== '__proto__')

t.test('properties named like members of Object.prototype are like any other, at every depth', async t => {
  for (const name of inherited) {
    const inner = { type: 'object', properties: { [name]: { type: 'string' } }, required: [name] }
    const closed = resource({ ...inner, properties: { ...inner.properties, deep: { type: 'array', items: inner } } })
    t.same(closed.errors({}).map(error => error.path), [`/${name}`], `${name} is required`)
    t.same(closed.errors({ [name]: 'x', deep: [{}] }).map(error => error.path), [`/deep/0/${name}`])
    t.same(closed.errors({ [name]: 'x', deep: [{ [name]: 'y' }] }), [])
    t.same(closed.errors({ [name]: 1 }).map(error => error.path), [`/${name}`])
    t.equal(closed.toJson('1', { deep: [], [name]: 'x' }), JSON.stringify({ id: '1', [name]: 'x', deep: [] }))
    const optional = resource({ type: 'object', properties: { [name]: { type: 'string' } } })
    t.same(optional.errors({}), [])
    t.same(optional.errors({ [name]: 1 }).map(error => error.path), [`/${name}`])
    t.equal(optional.toJson('1', {}), '{"id":"1"}')
    t.same(resource({ type: 'object', properties: {}, dependentRequired: { [name]: ['x'] } }).errors({}), [])
    t.same(resource({ type: 'object', properties: { a: { allOf: [inner, { type: 'object' }] } } }).errors({ a: {} }).map(error => error.path), [`/a/${name}`])
    t.same(mergePatch({ [name]: 'x' }, { [name]: null }), {})
    t.same(mergePatch({}, { [name]: { a: 1 } }), { [name]: { a: 1 } })
  }
})

t.test('what only the prototype of a value has is no property', async t => {
  class Made { get a (): string { return 'x' } }
  t.same(resource(Type.Object({ a: Type.String() })).errors(new Made()).map(error => error.path), ['/a'])
})

t.test('__proto__ and what stands for it are refused by their names, wherever they are', async t => {
  const open = resource(Type.Object({ any: Type.Optional(Type.Unknown()) }, { additionalProperties: true }))
  for (const [body, path] of [
    ['{"__proto__":{"x":1}}', '/__proto__'], ['{"any":[{"__proto__":1}]}', '/any/0/__proto__'], ['{"any":{"constructor":{"prototype":{}}}}', '/any/constructor']
  ] as const) t.same(open.errors(JSON.parse(body)), [{ path, message: 'has a name that is not taken' }])
  t.same(open.errors({ any: { constructor: 'x', prototype: {} } }), [])
  t.same(resource(Type.Object({})).errors(JSON.parse('{"__proto__":{}}')), [{ path: '/__proto__', message: 'is not a known property' }])
})

t.test('an id is the server\'s to give, whatever the schema takes', async t => {
  for (const schema of [Type.Object({}), Type.Object({}, { additionalProperties: true }), Type.Record(Type.String(), Type.Unknown())]) {
    t.same(resource(schema).errors({ id: 'x' }), [{ path: '/id', message: 'is given by the server' }])
  }
})

t.test('what can not be kept as it is, is refused in code too', async t => {
  const loop: Record<string, unknown> = {}
  loop['loop'] = loop
  let shared: unknown = 'x'
  for (let level = 0; level < 60; level++) shared = [shared, shared]
  const hole: unknown[] = []
  hole[2] = 1
  const any = resource(Type.Object({ any: Type.Unknown() }))
  for (const [value, path] of [
    [5n, '/any'], [Symbol('x'), '/any'], [() => 1, '/any'], [new Date(), '/any'], [[undefined], '/any/0'], [hole, '/any/0'], [NaN, '/any'], [[{ a: Infinity }], '/any/0/a'],
    ['\ud800', '/any'], [{ 'a\0': 1 }, '/any/a\0'], [loop, ''], [shared, '']
  ] as const) t.equal(any.errors({ any: value })[0]?.path, path, String(path))
  t.same(any.errors({ any: { a: undefined, b: [null, true, { c: 'x' }] } }), [], 'undefined is as good as absent')
  t.same(resource(Type.Recursive(This => Type.Object({ next: Type.Optional(This) }))).errors(loop).map(error => error.message), ['is nested deeper than 100 levels'])
})

t.test('what is told of bad bodies is bounded in number and length', async t => {
  const person = resource(Type.Object({ a: Type.String(), b: Type.String(), c: Type.String(), d: Type.String() }))
  const told = (errors: readonly { path: string, message: string }[]): number => JSON.stringify(invalidBody(errors).toProblem()).length
  const long = (letter: string): string => letter.repeat(1_000_000)
  for (const errors of [
    errorsOfAll(person, Array.from({ length: 1000 }, () => ({}))),
    person.errors(Object.fromEntries(Array.from({ length: 26 }, (_, index) => [long(String.fromCharCode(97 + index)), 1]))),
    person.errors(Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`p${index}`, 1]))),
    resource(Type.Record(Type.String(), Type.Number())).errors(Object.fromEntries(Array.from({ length: 26 }, (_, index) => [long(String.fromCharCode(97 + index)), 'x']))),
    resource(Type.Object({ any: Type.Unknown() })).errors({ any: Object.fromEntries(Array.from({ length: 26 }, (_, index) => [long(String.fromCharCode(97 + index)), '\0'])) }),
    resource(Type.Object({ l: Type.Array(Type.Number()) })).errors({ l: Array.from({ length: 300_000 }, () => 'x') })
  ]) {
    t.ok(errors.length > 0 && errors.length <= 20, `${errors.length} errors`)
    t.ok(told(errors) < 20_000, `${told(errors)} characters`)
  }
  t.match(invalidBody(errorsOfAll(person, Array.from({ length: 1000 }, () => ({})))).message, /^\/0\/a is required, and at least 19 more$/)
  t.match(invalidBody(person.errors({})).message, /^\/a is required, and 3 more$/)
  t.ok(invalidBody(person.errors({})) instanceof ChangeStreamError)
  t.same(errorsOfAll(person, [{ a: '', b: '', c: '', d: '' }, {}]).map(error => error.path), ['/1/a', '/1/b', '/1/c', '/1/d'])
})

t.test('uniqueItems means what it says, and takes time in proportion to the items', async t => {
  const set = resource(Type.Object({ set: Type.Array(Type.Unknown(), { uniqueItems: true }) }))
  const json = fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<unknown>
  const equal = (a: unknown, b: unknown): boolean => {
    if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
    if (Array.isArray(a) !== Array.isArray(b)) return false
    const [one, other] = [a as Record<string, unknown>, b as Record<string, unknown>]
    return Object.keys(one).length === Object.keys(other).length && Object.keys(one).every(key => Object.hasOwn(other, key) && equal(one[key], other[key]))
  }
  const small = fc.array(fc.oneof(json, fc.constantFrom<unknown>(1, '1', true, 'true', null, 'null', [], {}, [1], ['1'], { a: 1, b: 2 }, { b: 2, a: 1 }, { a: '1' }, -0, 0)), { maxLength: 6 })
  fc.assert(fc.property(small.filter(items => !JSON.stringify(items).includes('__proto__') && !JSON.stringify(items).includes('\\u')), items => {
    const distinct = items.every((item, index) => !items.slice(0, index).some(earlier => equal(item, earlier)))
    const errors = set.errors({ set: items })
    if ((errors.length === 0) !== distinct) throw new Error(JSON.stringify([items, errors]))
  }), { numRuns: 2000 })
  t.same(set.errors({ set: Array.from({ length: 200_000 }, (_, n) => ({ n })) }), [], 'each with each would take longer than a test may')
})

t.test('a schema whose branches contain it is checked with bounded work, and small bodies exactly', async t => {
  const Late = Type.Recursive(This => Type.Union([
    Type.Object({ next: Type.Optional(This), kind: Type.Literal('a') }),
    Type.Object({ next: Type.Optional(This), kind: Type.Literal('b') })
  ]))
  const Blind = Type.Recursive(This => Type.Union([
    Type.Object({ next: Type.Optional(This), a: Type.Object({ x: Type.Literal(1) }) }),
    Type.Object({ next: Type.Optional(This), a: Type.Object({ x: Type.Literal(2) }) })
  ]))
  const chain = (depth: number, link: object): object => depth === 0 ? link : { next: chain(depth - 1, link), ...link }
  t.same(resource(Late).errors(chain(98, { kind: 'b' })), [])
  t.equal(resource(Late).errors(chain(90, { kind: 'c' })).length > 0, true)
  t.same(resource(Blind).errors(chain(5, { a: { x: 2 } })), [])
  for (const bad of [chain(98, { a: { x: 3 } }), chain(98, { a: { x: 2 }, z: '\0' })]) t.ok(resource(Blind).errors(bad).length > 0)
  const list = resource(Type.Recursive(This => Type.Object({ kids: Type.Array(This) })))
  t.same(list.errors({ kids: Array.from({ length: 200_000 }, () => ({ kids: [] })) }), [], 'a large body takes as much work as it has values')
})

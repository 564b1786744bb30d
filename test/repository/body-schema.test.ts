import { type TSchema, Type } from '@sinclair/typebox'
import { Ajv2019 } from 'ajv/dist/2019.js'
import fc from 'fast-check'
import t from 'tap'
import { Resource } from '../../repository/resource.ts'

const text = { type: 'string' }
const number = { type: 'number' }
const object = (properties: object, more: object = {}): object => ({ type: 'object', properties, ...more })
const resource = (schema: object): Resource => new Resource({ name: 'things', noun: 'thing', schema: schema as TSchema })

/** A schema, bodies that fit it, and bodies that do not, each with the path that is at fault. */
type Row = readonly [name: string, schema: object, good: readonly object[], bad: readonly (readonly [body: object, path: string])[]]

const Node = Type.Recursive(This => Type.Object({ label: Type.String(), next: Type.Optional(This) }))
const Tree = Type.Recursive(This => Type.Union([
  Type.Object({ kids: Type.Array(This), kind: Type.Literal('branch') }),
  Type.Object({ value: Type.Number(), kind: Type.Literal('leaf') })
]))
const Module = Type.Module({
  Base: Type.Object({ a: Type.String() }),
  Whole: Type.Intersect([Type.Ref('Base'), Type.Object({ b: Type.Number() })]),
  Holder: Type.Object({ whole: Type.Ref('Whole'), list: Type.Optional(Type.Array(Type.Ref('Whole'))) }),
  Loop: Type.Intersect([Type.Ref('Base'), Type.Object({ loop: Type.Optional(Type.Ref('Loop')) })])
})

const rows: readonly Row[] = [
  ['one object', Type.Object({ a: Type.String() }), [{ a: 'x' }], [[{ a: 'x', z: 1 }, '/z']]],
  ['objects in objects, arrays and tuples', Type.Object({ o: Type.Object({ a: Type.String() }), l: Type.Array(Type.Object({ a: Type.String() })), p: Type.Tuple([Type.Object({ a: Type.String() }), Type.Number()]) }),
    [{ o: { a: 'x' }, l: [{ a: 'x' }], p: [{ a: 'x' }, 1] }],
    [[{ o: { a: 'x', z: 1 }, l: [], p: [{ a: 'x' }, 1] }, '/o/z'], [{ o: { a: 'x' }, l: [{ a: 'x', z: 1 }], p: [{ a: 'x' }, 1] }, '/l/0/z'], [{ o: { a: 'x' }, l: [], p: [{ a: 'x', z: 1 }, 1] }, '/p/0/z']]],
  ['an intersection', Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Number() })]), [{ a: 'x', b: 1 }], [[{ a: 'x', b: 1, z: 1 }, '/z'], [{ a: 'x' }, '/b']]],
  ['an intersection whose parts share an object', Type.Intersect([Type.Object({ o: Type.Object({ a: Type.String() }) }), Type.Object({ o: Type.Object({ b: Type.Number() }) })]),
    [{ o: { a: 'x', b: 1 } }], [[{ o: { a: 'x', b: 1, z: 1 } }, '/o/z']]],
  ['a composite', Type.Composite([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Number() })]), [{ a: 'x', b: 1 }], [[{ a: 'x', b: 1, z: 1 }, '/z']]],
  ['a module with an intersection', Module.Import('Whole'), [{ a: 'x', b: 1 }], [[{ a: 'x', b: 1, z: 1 }, '/z'], [{ a: 'x', b: 'y' }, '/b']]],
  ['a module that refers to one, also from an array', Module.Import('Holder'), [{ whole: { a: 'x', b: 1 }, list: [{ a: 'x', b: 1 }] }],
    [[{ whole: { a: 'x', b: 1, z: 1 } }, '/whole/z'], [{ whole: { a: 'x', b: 1 }, list: [{ a: 'x', b: 1, z: 1 }] }, '/list/0/z'], [{ whole: { a: 'x', b: 1 }, z: 1 }, '/z']]],
  ['an intersection that contains itself', Module.Import('Loop'), [{ a: 'x', loop: { a: 'y', loop: { a: 'z' } } }], [[{ a: 'x', loop: { a: 'y', z: 1 } }, '/loop/z'], [{ a: 'x', loop: {} }, '/loop/a']]],
  ['an object that contains itself', Node, [{ label: 'x', next: { label: 'y', next: { label: 'z' } } }], [[{ label: 'x', next: { label: 'y', z: 1 } }, '/next/z'], [{ label: 'x', z: 1 }, '/z']]],
  ['a union that contains itself', Tree, [{ kind: 'branch', kids: [{ kind: 'leaf', value: 1 }, { kind: 'branch', kids: [] }] }],
    [[{ kind: 'branch', kids: [{ kind: 'leaf', value: 1, kids: [] }] }, '/kids/0/kids'], [{ kind: 'leaf', value: 1, z: 1 }, '/z']]],
  ['$ref to $defs', object({ o: { $ref: '#/$defs/O' } }, { $defs: { O: object({ a: text }) } }), [{ o: { a: 'x' } }], [[{ o: { a: 'x', z: 1 } }, '/o/z']]],
  ['$ref beside properties', object({ b: number }, { $ref: '#/$defs/O', $defs: { O: object({ a: text }) } }), [{ a: 'x', b: 1 }], [[{ a: 'x', z: 1 }, '/z']]],
  ['$ref by a relative $id, an $anchor and an escaped pointer', object({ o: { $ref: 'o' }, p: { $ref: 'o#p' }, q: { $ref: '#/$defs/a~1b%20c' } }, { $id: 'https://example.com/root', $defs: { O: object({ a: text }, { $id: 'o', $defs: { P: object({ b: text }, { $anchor: 'p' }) } }), 'a/b c': object({ c: text }) } }),
    [{ o: { a: 'x' }, p: { b: 'x' }, q: { c: 'x' } }], [[{ o: { b: 'x' } }, '/o/b'], [{ p: { a: 'x' } }, '/p/a'], [{ q: { a: 'x' } }, '/q/a']]],
  ['$ref to another property', object({ a: object({ x: text }), b: { $ref: '#/properties/a' } }), [{ b: { x: 'x' } }], [[{ b: { z: 1 } }, '/b/z']]],
  ['$ref to the whole', object({ a: text, again: { $ref: '#' } }), [{ again: { again: { a: 'x' } } }], [[{ again: { again: { z: 1 } } }, '/again/again/z']]],
  ['if, then, else', object({ kind: text }, { if: { properties: { kind: { const: 'n' } }, required: ['kind'] }, then: { properties: { n: number } }, else: { properties: { s: text } } }),
    [{ kind: 'n', n: 1 }, { kind: 's', s: 'x' }, {}], [[{ kind: 'n', s: 'x' }, '/s'], [{ kind: 's', n: 1 }, '/n'], [{ kind: 'n', n: 'x' }, '/n']]],
  ['if about an object inside', object({ o: object({ kind: text, other: text }) }, { if: object({ o: object({ kind: { const: 'n' } }) }), then: { required: ['n'], properties: { n: number } } }),
    [{ o: { kind: 'n', other: 'x' }, n: 1 }, { o: { kind: 'm', other: 'x' } }], [[{ o: { kind: 'n', other: 'x' } }, '/n'], [{ o: { kind: 'm', z: 1 } }, '/o/z']]],
  ['dependentSchemas', object({ card: text }, { dependentSchemas: { card: { properties: { address: text } } } }), [{ card: 'x', address: 'y' }, {}], [[{ address: 'y' }, '/address']]],
  ['properties beside oneOf', object({ base: text }, { oneOf: [{ properties: { a: text }, required: ['a'] }, { properties: { b: text }, required: ['b'] }] }),
    [{ base: 'x', a: 'y' }, { b: 'y' }], [[{ base: 'x', a: 'y', z: 1 }, '/z']]],
  ['properties beside anyOf that only requires', object({ a: text, b: text }, { anyOf: [{ required: ['a'] }, { required: ['b'] }] }), [{ a: 'x' }, { a: 'x', b: 'y' }], [[{ a: 'x', z: 1 }, '/z']]],
  ['anyOf of objects with more than one that fits', Type.Object({ u: Type.Union([Type.Object({ a: Type.String() }), Type.Object({ b: Type.String() })]) }),
    [{ u: { a: 'x', b: 'y' } }, { u: { b: 'y' } }], [[{ u: { a: 'x', z: 1 } }, '/u/z']]],
  ['an object or null', Type.Object({ o: Type.Union([Type.Object({ a: Type.String() }), Type.Null()]) }), [{ o: null }, { o: { a: 'x' } }], [[{ o: { a: 'x', z: 1 } }, '/o/z']]],
  ['an object or anything', Type.Object({ o: Type.Union([Type.Object({ a: Type.String() }), Type.Unknown()]) }), [{ o: { a: 1, z: 1 } }], [[{ z: 1 }, '/o']]],
  ['patternProperties', object({ a: text }, { patternProperties: { '^x-': object({ n: number }) } }), [{ a: 'x', 'x-1': { n: 1 } }], [[{ y: 1 }, '/y'], [{ 'x-1': { z: 1 } }, '/x-1/z']]],
  ['patternProperties beside properties of the same name', object({ xa: object({ a: text }) }, { patternProperties: { '^x': object({ n: number }) } }), [{ xa: { a: 'x', n: 1 } }], [[{ xa: { z: 1 } }, '/xa/z']]],
  ['a record', Type.Record(Type.String(), Type.Object({ a: Type.String() })), [{ any: { a: 'x' } }], [[{ any: { a: 'x', z: 1 } }, '/any/z']]],
  ['not', object({ a: text }, { not: object({ a: { const: 'x' } }, { required: ['a'] }) }), [{ a: 'y' }], [[{ a: 'x' }, ''], [{ a: 'y', z: 1 }, '/z']]],
  ['propertyNames', object({ o: { type: 'object', propertyNames: { maxLength: 1 }, additionalProperties: object({ a: text }) } }), [{ o: { k: { a: 'x' } } }], [[{ o: { k: { z: 1 } } }, '/o/k/z']]],
  ['contains beside items', object({ l: { type: 'array', items: object({ a: text, b: text }), contains: object({ a: { const: 'x' } }, { required: ['a'] }) } }), [{ l: [{ a: 'x', b: 'y' }, { b: 'y' }] }], [[{ l: [{ a: 'x', z: 1 }] }, '/l/0/z']]],
  ['a tuple of compositions', Type.Object({ p: Type.Tuple([Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.String() })])]) }), [{ p: [{ a: 'x', b: 'y' }] }], [[{ p: [{ a: 'x', b: 'y', z: 1 }] }, '/p/0/z']]],
  ['what says itself what else it takes', object({ o: object({ a: text }, { additionalProperties: true }), p: { allOf: [object({ a: text })], type: 'object', unevaluatedProperties: number } }), [{ o: { z: 1 }, p: { a: 'x', z: 1 } }], [[{ p: { z: 'x' } }, '/p/z']]],
  ['a property with any value', Type.Object({ any: Type.Unknown() }), [{ any: { a: { b: [{}] } } }], [[{ any: 1, z: 1 }, '/z']]],
  ['properties without a type', object({ o: { properties: { a: text } } }), [{ o: { a: 'x' } }, { o: 1 }], [[{ o: { z: 1 } }, '/o/z']]],
  ['nullable', object({ a: { ...text, nullable: true }, o: object({ a: text }, { nullable: true }) }), [{ a: null, o: null }, { o: { a: 'x' } }], [[{ o: { z: 1 } }, '/o/z']]],
  ['keywords and names alike', object({ if: object({ a: text }), default: { anyOf: [object({ a: text }, { required: ['a'] }), object({ b: text }, { required: ['b'] })] }, properties: text }), [{ if: { a: 'x' }, default: { b: 'x' }, properties: 'x' }], [[{ default: { a: 'x', z: 1 } }, '/default/z'], [{ if: { z: 1 } }, '/if/z']]]
]

for (const [name, schema, good, bad] of rows) {
  t.test(`a property that nothing in the schema knows is refused, and no other: ${name}`, t => {
    const thing = resource(schema)
    const errors = (body: object): unknown[] => thing.errors(body)
    for (const body of good) t.same(errors(body), [], JSON.stringify(body))
    for (const [body, path] of bad) t.ok(thing.errors(body).some(error => error.path === path), `${JSON.stringify(body)}: ${JSON.stringify(errors(body))}`)
    t.end()
  })
}

t.test('a schema that can not be used is refused with its reason', t => {
  for (const [schema, reason] of [
    [object({ a: { $ref: '#/$defs/Nothing' } }), /Nothing/],
    [object({ a: { $ref: 'elsewhere' } }), /elsewhere/],
    [object({}, { allOf: [{ $ref: '#' }] }), /refers to itself/],
    [object({ ['__proto__']: text }), /__proto__/],
    [object({ o: { required: ['__proto__'] } }), /__proto__/],
    [object({}, { nullable: true }), /must describe an object/],
    [{ $ref: '#/$defs/a', $defs: { a: { anyOf: [object({}), { type: 'null' }] } } }, /must describe an object/],
    [object({ a: { $dynamicRef: '#x' } }), /depends on where/]
  ] as const) t.throws(() => resource(schema), { name: 'TypeError', message: reason }, JSON.stringify(schema))
  t.end()
})

/** A schema as a resource gets it, and the same with every object closed by hand. */
interface Twin { readonly open: object, readonly closed: object }

const names = ['a', 'b', 'c', 'd', 'e']
const scalar = fc.constantFrom<object>(text, number, { type: 'boolean' }, { const: 1 }, { enum: ['x', 1] })
const same = (one: fc.Arbitrary<object>): fc.Arbitrary<Twin> => one.map(schema => ({ open: schema, closed: schema }))

/** Parts know scalars alone, so that each object is described in one place. */
const { value } = fc.letrec<{ part: Twin, value: Twin, whole: Twin }>(tie => {
  const map = (of: fc.Arbitrary<Twin>): fc.Arbitrary<Twin> => fc.dictionary(fc.constantFrom(...names), of, { maxKeys: 3, noNullPrototype: true }).map(made => ({
    open: Object.fromEntries(Object.entries(made).map(([key, twin]) => [key, twin.open])),
    closed: Object.fromEntries(Object.entries(made).map(([key, twin]) => [key, twin.closed]))
  }))
  const lift = (keyword: string, of: fc.Arbitrary<Twin>): fc.Arbitrary<Twin> => of.map(({ open, closed }) => ({ open: { [keyword]: open }, closed: { [keyword]: closed } }))
  const list = (keyword: string): fc.Arbitrary<Twin> => lift(keyword, fc.array(tie('part'), { minLength: 1, maxLength: 3 }).map(twins => ({ open: twins.map(twin => twin.open), closed: twins.map(twin => twin.closed) })))
  const join = (...of: fc.Arbitrary<Twin>[]): fc.Arbitrary<Twin> => fc.tuple(...of).map(twins => ({ open: Object.assign({}, ...twins.map(twin => twin.open)) as object, closed: Object.assign({}, ...twins.map(twin => twin.closed)) as object }))
  const scalars = lift('properties', map(same(scalar)))
  const required = same(fc.subarray(names, { maxLength: 2 }).map(some => ({ required: some })))
  const choice = fc.oneof(list('allOf'), list('anyOf'), list('oneOf'), lift('not', tie('part')), lift('dependentSchemas', map(tie('part'))),
    join(lift('if', fc.oneof(scalars, join(scalars, required))), lift('then', tie('part')), lift('else', tie('part'))))
  return {
    part: fc.oneof({ maxDepth: 2 }, scalars, required, join(scalars, required), same(fc.constant({ properties: { a: text }, patternProperties: { '^[de]$': number } })), choice, join(scalars, choice)),
    value: fc.oneof({ maxDepth: 3 }, same(scalar), tie('whole'), lift('items', tie('value')), same(fc.constant({}))),
    whole: fc.tuple(lift('properties', map(tie('value'))), fc.option(choice)).map(([own, more]) => ({
      open: { type: 'object', ...own.open, ...more?.open },
      closed: { type: 'object', ...own.closed, ...more?.closed, unevaluatedProperties: false }
    }))
  }
})

const body: fc.Arbitrary<unknown> = fc.letrec(tie => ({
  body: fc.oneof({ maxDepth: 3 }, fc.constantFrom<unknown>('x', 1, true), fc.array(tie('body'), { maxLength: 2 }), fc.dictionary(fc.constantFrom(...names), tie('body'), { maxKeys: 4, noNullPrototype: true }))
})).body

interface Outcome { readonly valid: boolean, readonly names: readonly string[] }

/** JSON Schema 2019-09, of these keywords, told as plainly as can be: Ajv's own `unevaluatedProperties` errs where parts of parts are branches. */
function evaluate (schema: Readonly<Record<string, unknown>>, value: unknown): Outcome {
  const outcomes: Outcome[] = []
  const demand = (valid: boolean, names: readonly string[] = []): unknown => outcomes.push({ valid, names: valid ? names : [] })
  const inside = (part: unknown): Outcome => evaluate(part as Record<string, unknown>, value)
  const entries = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : null
  const { type, const: only, enum: some, required, properties, patternProperties, items, allOf, anyOf, oneOf, not, if: condition, then, else: otherwise, dependentSchemas } = schema
  const typed: string = typeof value
  if (type !== undefined) demand(type === 'object' ? entries !== null : typed === type)
  if (only !== undefined) demand(value === only)
  if (Array.isArray(some)) demand(some.includes(value))
  if (Array.isArray(required) && entries) demand(required.every(name => entries.some(([key]) => key === name)))
  if (Array.isArray(value) && items) demand(value.every(item => evaluate(items as object as Record<string, unknown>, item).valid))
  for (const [key, item] of entries ?? []) {
    for (const [name, part] of Object.entries(properties ?? {})) if (name === key) demand(evaluate(part as Record<string, unknown>, item).valid, [key])
    for (const [name, part] of Object.entries(patternProperties ?? {})) if (new RegExp(name).test(key)) demand(evaluate(part as Record<string, unknown>, item).valid, [key])
    for (const [name, part] of Object.entries(dependentSchemas ?? {})) if (name === key) outcomes.push(inside(part))
  }
  for (const part of Array.isArray(allOf) ? allOf : []) outcomes.push(inside(part))
  for (const branches of [anyOf, oneOf]) {
    const fitting = (Array.isArray(branches) ? branches : []).map(inside).filter(({ valid }) => valid)
    if (branches) demand(branches === anyOf ? fitting.length > 0 : fitting.length === 1)
    outcomes.push(...fitting)
  }
  if (not) demand(!inside(not).valid)
  if (condition) {
    const met = inside(condition)
    outcomes.push({ valid: true, names: (entries ?? []).map(([key]) => key).filter(key => key in ((condition as Record<string, object>)['properties'] ?? {})) }) // also where it fails
    outcomes.push(inside(met.valid ? then : otherwise))
  }
  const names = outcomes.flatMap(outcome => outcome.names)
  if (schema['unevaluatedProperties'] === false && entries) demand(entries.every(([key]) => names.includes(key)))
  const valid = outcomes.every(outcome => outcome.valid)
  return { valid, names: valid ? names : [] }
}

t.test('what is accepted is what plain Ajv accepts, but for properties that nothing evaluates', t => {
  const count = { accepted: 0, refused: 0 }
  fc.assert(fc.property(value, fc.array(body, { minLength: 10, maxLength: 30 }), ({ open, closed }, bodies) => {
    const plain = new Ajv2019({ strict: false, ownProperties: true, validateSchema: false }).compile(object({ v: open }))
    const ours = resource(object({ v: open }))
    for (const v of bodies) {
      const errors = ours.errors({ v })
      const expected = evaluate(closed as Record<string, unknown>, v).valid
      count[expected ? 'accepted' : 'refused'] += plain({ v }) ? 1 : 0
      if ((errors.length === 0) !== expected) throw new Error(`to be ${expected ? 'accepted' : 'refused'}: ${JSON.stringify(v)}, ${JSON.stringify(errors)}`)
      if (errors.some(error => error.message !== 'is not a known property') === plain({ v })) throw new Error(`not as Ajv has it: ${JSON.stringify(v)}`)
    }
  }), { numRuns: 120 })
  t.ok(count.accepted > 100 && count.refused > 10, JSON.stringify(count))
  t.end()
})

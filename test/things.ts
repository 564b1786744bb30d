import { Type } from '@sinclair/typebox'
import fc from 'fast-check'

/** A schema with a bit of everything that a `where` can ask about. */
export const Thing = Type.Object({
  s: Type.String(),
  n: Type.Number(),
  b: Type.Boolean(),
  u: Type.Optional(Type.Union([Type.Null(), Type.Boolean(), Type.Number(), Type.String()])),
  tags: Type.Array(Type.String()),
  nums: Type.Optional(Type.Array(Type.Union([Type.Number(), Type.Null()]))),
  o: Type.Optional(Type.Object({ x: Type.Optional(Type.Number()), 'a b': Type.Optional(Type.String()) })),
  'q"\\': Type.Optional(Type.Union([Type.Number(), Type.String()])),
  mix: Type.Optional(Type.Array(Type.Union([Type.Null(), Type.Boolean(), Type.Number(), Type.String()]))),
  any: Type.Optional(Type.Any())
})

const text = fc.oneof(
  fc.constantFrom('', 'a', 'b', 'A', 'ab', '0', '1', 'true', 'null', '"', '\\', '\\u0041', "'", '%', '$.a', '\u2028', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{1f600}', 'e\u0301', 'é'),
  fc.string({ unit: 'grapheme', maxLength: 4 }).filter(value => value.isWellFormed() && !value.includes('\0'))
)
const number = fc.oneof(
  fc.constantFrom(0, -0, 1, -1, 2, 10, 0.1, 0.30000000000000004, 2 ** 53, 2 ** 53 + 2, -(2 ** 53), 1e15, 1e16, 2 ** 60, 2 ** 63, 1e19, 1e21, 1e300, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308),
  fc.integer({ min: -3, max: 3 }),
  fc.double({ noNaN: true, noDefaultInfinity: true })
)
const scalar = fc.oneof(text, number, fc.boolean(), fc.constant(null))
const long = fc.tuple(fc.constantFrom('x', 'é', '\u{1f600}', '\u{10ffff}'), fc.constantFrom(254, 255, 256, 257, 300), fc.constantFrom('', 'a', '\uffff', '\u{1f600}'))
  .map(([character, count, end]) => character.repeat(count) + end)

/** A record of it, without an id. */
export const thing = fc.record({
  s: fc.oneof({ weight: 4, arbitrary: text }, long),
  n: number,
  b: fc.boolean(),
  u: scalar,
  tags: fc.array(text, { maxLength: 3 }),
  nums: fc.array(fc.oneof(number, fc.constant(null)), { maxLength: 3 }),
  o: fc.record({ x: number, 'a b': text }, { requiredKeys: [] }),
  'q"\\': fc.oneof(number, text),
  mix: fc.array(scalar, { maxLength: 3 }),
  any: fc.oneof(scalar, fc.array(scalar, { maxLength: 2 }), fc.record({ x: scalar }))
}, { requiredKeys: ['s', 'n', 'b', 'tags'] })

export type Leaf = Record<string, unknown>
const valueOf: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  s: text,
  n: number,
  b: fc.boolean(),
  u: scalar,
  tags: text,
  nums: fc.oneof(number, fc.constant(null)),
  'o.x': fc.oneof(number, fc.constant(null)),
  'o.a b': fc.oneof(text, fc.constant(null)),
  id: text,
  'q"\\': fc.oneof(number, text),
  mix: scalar,
  any: scalar,
  'any.x': scalar
}
const leaf: fc.Arbitrary<Leaf> = fc.constantFrom(...Object.keys(valueOf)).chain(name => {
  const value = valueOf[name] ?? fc.constant(null)
  const ordered = value.filter(one => one !== null)
  return fc.oneof(
    value.map(one => ({ [name]: one })),
    fc.tuple(fc.constantFrom('$ne'), value).map(([operator, one]) => ({ [name]: { [operator]: one } })),
    fc.tuple(fc.constantFrom('$gt', '$gte', '$lt', '$lte'), ordered).map(([operator, one]) => ({ [name]: { [operator]: one } })),
    fc.tuple(ordered, ordered).map(([low, high]) => ({ [name]: { $gte: low, $lte: high } })),
    fc.tuple(fc.constantFrom('$in', '$nin'), fc.array(value, { maxLength: 4 })).map(([operator, list]) => ({ [name]: { [operator]: list } }))
  )
})
/** A `where` that fits the schema. */
export const { where } = fc.letrec<{ where: Leaf }>(tie => ({
  where: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    leaf,
    fc.tuple(leaf, leaf).map(([a, b]) => ({ ...a, ...b })),
    fc.tuple(fc.constantFrom('$and', '$or'), fc.array(tie('where'), { minLength: 1, maxLength: 3 })).map(([kind, list]) => ({ [kind]: list }))
  )
}))

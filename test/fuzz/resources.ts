import { type TSchema, Type } from '@sinclair/typebox'
import type { Random } from '../model/random.ts'
import { Person } from '../../plugin/options.ts'
import { anything, number, scalar, text } from './values.ts'

type Plain = Record<string, unknown>

export interface Fuzzed {
  readonly name: string
  readonly schema: TSchema
  /** Where its records and its stream are. */
  readonly path: string
  readonly updates: string
  /** The properties and paths that a `where`, a `sort` or `fields` may name. */
  readonly paths: readonly string[]
  /** A record that fits, without an id, but for text that can't be stored. */
  record (random: Random): Plain
  /** The polite writer's record of that number, where it writes here, and the `where` that holds for those alone. */
  readonly polite?: { record (number: number): Plain, readonly where: Plain }
}

const optional = <T>(random: Random, name: string, make: () => T): Plain => random.chance(0.4) ? { [name]: make() } : {}
const list = <T>(random: Random, make: () => T): T[] => Array.from({ length: random.below(4) }, make)
const filled = (random: Random): string => text(random) || 'x'

const people: Fuzzed = {
  name: 'people',
  schema: Person,
  path: '/people',
  updates: '/updates',
  paths: ['firstName', 'lastName', 'age', 'job', 'id'],
  record: random => ({ firstName: filled(random), lastName: filled(random), age: random.below(100), job: filled(random) }),
  polite: { record: number => ({ firstName: 'Polly', lastName: 'Polite', age: number, job: 'polite' }), where: { job: 'polite' } }
}

/** A bit of everything that a `where` can ask about, and names that SQL, JSON paths and URLs must escape. */
const Thing = Type.Object({
  n: Type.Number(),
  s: Type.Optional(Type.String()),
  b: Type.Optional(Type.Boolean()),
  any: Type.Optional(Type.Any()),
  u: Type.Optional(Type.Union([Type.Null(), Type.Boolean(), Type.Number(), Type.String()])),
  tags: Type.Optional(Type.Array(Type.String())),
  mixed: Type.Optional(Type.Array(Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()]))),
  o: Type.Optional(Type.Object({ x: Type.Optional(Type.Number()), 'a b': Type.Optional(Type.String()), any: Type.Optional(Type.Any()) })),
  'we"ird': Type.Optional(Type.String()),
  "it's": Type.Optional(Type.String()),
  $dollar: Type.Optional(Type.Number()),
  'sl/ash\\': Type.Optional(Type.String()),
  'line\nbreak': Type.Optional(Type.String()),
  ключ: Type.Optional(Type.Number())
})

const thingPaths = ['n', 's', 'b', 'any', 'u', 'tags', 'mixed', 'o.x', 'o.a b', 'o.any', 'we"ird', "it's", '$dollar', 'sl/ash\\', 'line\nbreak', 'ключ', 'id', 'any.a', 'o']

const things: Fuzzed = {
  name: 'things',
  schema: Thing,
  path: '/things',
  updates: '/things/updates',
  paths: thingPaths,
  record: random => ({
    n: number(random),
    ...optional(random, 's', () => text(random)),
    ...optional(random, 'b', () => random.chance(0.5)),
    ...optional(random, 'any', () => anything(random)),
    ...optional(random, 'u', () => scalar(random)),
    ...optional(random, 'tags', () => list(random, () => text(random))),
    ...optional(random, 'mixed', () => list(random, () => scalar(random))),
    ...optional(random, 'o', () => ({ ...optional(random, 'x', () => number(random)), ...optional(random, 'a b', () => text(random)), ...optional(random, 'any', () => anything(random)) })),
    ...Object.assign({}, ...['we"ird', "it's", 'sl/ash\\', 'line\nbreak'].map(name => optional(random, name, () => text(random)))),
    ...Object.assign({}, ...['$dollar', 'ключ'].map(name => optional(random, name, () => number(random))))
  }),
  polite: { record: n => ({ n, s: 'polite', tags: ['p'], any: { n }, u: null }), where: { s: 'polite' } }
}

/** Recursion, maps, unions of objects, nested arrays, and members of Object.prototype. */
const Order = Type.Object({
  kind: Type.Union([Type.Literal('a'), Type.Literal('b'), Type.Literal(1), Type.Null()]),
  tree: Type.Optional(Type.Recursive(This => Type.Object({ v: Type.Optional(Type.Any()), children: Type.Optional(Type.Array(This)) }), { $id: 'Tree' })),
  map: Type.Optional(Type.Record(Type.String(), Type.Any())),
  list: Type.Optional(Type.Array(Type.Array(Type.Array(Type.Any())))),
  either: Type.Optional(Type.Union([Type.Object({ a: Type.Number() }), Type.Object({ b: Type.String() })])),
  toString: Type.Optional(Type.String()),
  constructor: Type.Optional(Type.Number())
})

function tree (random: Random, levels = 3): Plain {
  return { ...optional(random, 'v', () => anything(random)), ...(levels > 0 && optional(random, 'children', () => list(random, () => tree(random, levels - 1)))) }
}

const orders: Fuzzed = {
  name: 'order',
  schema: Order,
  path: '/api/order',
  updates: '/api/order/updates',
  paths: ['kind', 'tree.v', 'tree.children.v', 'map.a', 'map.x.y', 'list', 'either.a', 'either.b', 'toString', 'constructor', 'id', 'tree', 'either'],
  record: random => ({
    kind: random.pick(['a', 'b', 1, null]),
    ...optional(random, 'tree', () => tree(random)),
    ...optional(random, 'map', () => Object.fromEntries(list(random, () => [text(random), anything(random)]))),
    ...optional(random, 'list', () => list(random, () => list(random, () => list(random, () => anything(random))))),
    ...optional(random, 'either', () => random.chance(0.5) ? { a: number(random) } : { b: text(random) }),
    ...optional(random, 'toString', () => text(random)),
    ...optional(random, 'constructor', () => number(random))
  })
}

export const resources = { people, things, orders } as const

/** Ids that there is a record of at the start, the same for each resource. */
export const ids = Array.from({ length: 8 }, (_, index) => `0000000${index}-0000-4000-8000-00000000000${index}`)

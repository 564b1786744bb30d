import { Type } from '@sinclair/typebox'
import fc from 'fast-check'
import t from 'tap'
import { parseSort } from '../../protocol/sort.ts'
import { parseWhere } from '../../protocol/where.ts'
import { memory } from '../../repository/memory.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { sqliteOptions } from '../helper.ts'

const pairs = 100_000

const Thing = Type.Object({
  s: Type.String(),
  n: Type.Number(),
  b: Type.Boolean(),
  u: Type.Optional(Type.Union([Type.Null(), Type.Boolean(), Type.Number(), Type.String()])),
  tags: Type.Array(Type.String()),
  nums: Type.Optional(Type.Array(Type.Union([Type.Number(), Type.Null()]))),
  o: Type.Optional(Type.Object({ x: Type.Optional(Type.Number()), 'a b': Type.Optional(Type.String()) }))
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

const thing = fc.record({
  s: text,
  n: number,
  b: fc.boolean(),
  u: scalar,
  tags: fc.array(text, { maxLength: 3 }),
  nums: fc.array(fc.oneof(number, fc.constant(null)), { maxLength: 3 }),
  o: fc.record({ x: number, 'a b': text }, { requiredKeys: [] })
}, { requiredKeys: ['s', 'n', 'b', 'tags'] })

type Leaf = Record<string, unknown>
const valueOf: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  s: text, n: number, b: fc.boolean(), u: scalar, tags: text, nums: fc.oneof(number, fc.constant(null)), 'o.x': fc.oneof(number, fc.constant(null)), 'o.a b': fc.oneof(text, fc.constant(null)), id: text
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
const { where } = fc.letrec<{ where: Leaf }>(tie => ({
  where: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    leaf,
    fc.tuple(leaf, leaf).map(([a, b]) => ({ ...a, ...b })),
    fc.tuple(fc.constantFrom('$and', '$or'), fc.array(tie('where'), { minLength: 1, maxLength: 3 })).map(([kind, list]) => ({ [kind]: list }))
  )
}))

/** What a `where` means, told once more, as plainly as can be. */
function holds (condition: Leaf, record: Leaf): boolean {
  return Object.entries(condition).every(([key, operand]) => {
    if (key === '$and') return (operand as Leaf[]).every(part => holds(part, record))
    if (key === '$or') return (operand as Leaf[]).some(part => holds(part, record))
    const found = key.split('.').reduce<unknown>((value, part) => (value as Leaf | undefined)?.[part], record) ?? null
    const candidates = Array.isArray(found) ? found : [found]
    const tests = typeof operand === 'object' && operand !== null ? Object.entries(operand) : [['$eq', operand] as const]
    const order = (a: unknown, b: unknown): number | null => {
      if (a === null || typeof a !== typeof b) return null
      if (typeof a === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b as string))
      return Number(a) < Number(b) ? -1 : Number(a) > Number(b) ? 1 : 0
    }
    return tests.every(([operator, value]) => {
      const equals = (one: unknown): boolean => candidates.some(candidate => candidate === one || (candidate === 0 && one === 0))
      const ordered = (fits: (sign: number) => boolean): boolean => candidates.some(candidate => {
        const sign = order(candidate, value)
        return sign !== null && fits(sign)
      })
      switch (operator) {
        case '$eq': return equals(value)
        case '$ne': return !equals(value)
        case '$in': return (value as unknown[]).some(equals)
        case '$nin': return !(value as unknown[]).some(equals)
        case '$gt': return ordered(sign => sign > 0)
        case '$gte': return ordered(sign => sign >= 0)
        case '$lt': return ordered(sign => sign < 0)
        default: return ordered(sign => sign <= 0)
      }
    })
  })
}

t.test(`a where means the same in memory, in SQLite and in words, on ${pairs.toLocaleString('en')} pairs of record and filter`, { timeout: 120_000 }, async t => {
  const resource = new Resource({ name: 'things', noun: 'thing', schema: Thing })
  const open = async (store: ReturnType<typeof memory>): Promise<Repository<typeof Thing>> => new Repository(resource, await store(resource), error => { throw error })
  const inMemory = await open(memory())
  const inSqlite = await open(sqlite(sqliteOptions(t)))
  t.teardown(() => inSqlite.close())
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  const things = fc.sample(thing, { numRuns: 250, seed })
  const saved = await inMemory.createAll(things)
  for (const { id, record } of saved) await inSqlite.replace(id, record, { ifNoneMatch: '*' })
  const conditions = fc.sample(where, { numRuns: pairs / things.length, seed })
  const records = saved.map(one => JSON.parse(one.json) as Leaf)
  let matched = 0
  for (const condition of conditions) {
    const query = { where: parseWhere(condition, resource.properties), sort: [], limit: 1000, after: null }
    const expected = records.filter(record => holds(condition, record)).map(record => record['id'])
    const [one, other] = await Promise.all([inMemory.list(query), inSqlite.list(query)])
    const ids = [one, other].map(page => page.items.map(item => item.id).join())
    if (ids[0] !== expected.join() || ids[1] !== expected.join()) {
      t.fail(`seed ${seed}: ${JSON.stringify(condition)}`, { memory: one.items.map(item => item.json), sqlite: other.items.map(item => item.json), expected })
      break
    }
    matched += expected.length
  }
  t.ok(matched > pairs / 10 && matched < pairs * 0.9, `${matched} pairs matched`)

  for (const sort of ['s', '-s', 'n', '-n', 'b,-u', 'u,s', '-u,n', 'o.x', 'o.a b,-b,-n', '-id']) {
    const whole = { where: null, sort: parseSort(sort, resource.properties), limit: 1000, after: null }
    const [one, other] = await Promise.all([inMemory.list(whole), inSqlite.list(whole)])
    t.same(other.items.map(item => item.id), one.items.map(item => item.id), `sorted by ${sort}, seed ${seed}`)
  }
})

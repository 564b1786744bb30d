import fc from 'fast-check'
import t, { type Test } from 'tap'
import { parseFields } from '../../protocol/filter.ts'
import { type SortPlace, parseSort } from '../../protocol/sort.ts'
import { parseWhere } from '../../protocol/where.ts'
import { memory } from '../../repository/memory.ts'
import { type Page, Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { sqlite } from '../../repository/sqlite.ts'
import type { OpenStore } from '../../repository/store.ts'
import { readPlace, writePlace } from '../../routes/place.ts'
import { sqliteOptions } from '../helper.ts'
import { type Leaf, Thing, thing, where } from '../things.ts'

const pairs = 100_000
const lists = 200
const pagesRead = 5

function valueIn (record: Leaf, name: string): unknown {
  return name.split('.').reduce<unknown>((value, part) => typeof value === 'object' && value !== null && Object.hasOwn(value, part) ? (value as Leaf)[part] : null, record) ?? null
}

/** What a `where` means, told once more, as plainly as can be. */
function holds (condition: Leaf, record: Leaf): boolean {
  return Object.entries(condition).every(([key, operand]) => {
    if (key === '$and') return (operand as Leaf[]).every(part => holds(part, record))
    if (key === '$or') return (operand as Leaf[]).some(part => holds(part, record))
    const found = valueIn(record, key)
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

type Things = Repository<typeof Thing>

/** The same things in both stores. */
async function filled (t: Test, count: number): Promise<{ inMemory: Things, inSqlite: Things, records: Leaf[], seed: number }> {
  const resource = new Resource({ name: 'things', noun: 'thing', schema: Thing })
  const open = async (store: OpenStore): Promise<Things> => new Repository(resource, await store(resource), error => { throw error })
  const inMemory = await open(memory())
  const inSqlite = await open(sqlite(sqliteOptions(t)))
  t.teardown(() => inSqlite.close())
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  const saved = await inMemory.createAll(fc.sample(thing, { numRuns: count, seed }))
  await Promise.all(saved.map(async ({ id, record }) => await inSqlite.replace(id, record, { ifNoneMatch: '*' })))
  return { inMemory, inSqlite, records: saved.map(one => JSON.parse(one.json) as Leaf), seed }
}

t.test(`a where means the same in memory, in SQLite and in words, on ${pairs.toLocaleString('en')} pairs of record and filter`, { timeout: 120_000 }, async t => {
  const { inMemory, inSqlite, records, seed } = await filled(t, 250)
  const { properties } = inMemory.resource
  const conditions = fc.sample(where, { numRuns: pairs / records.length, seed })
  let matched = 0
  for (const condition of conditions) {
    const query = { where: parseWhere(condition, properties), sort: [], limit: 1000, after: null }
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
})

/** What `sort` means, told once more: absent and `null`, numbers and booleans, strings; of these the first 256 code points. */
function order (sort: string): (a: Leaf, b: Leaf) => number {
  const rank = (value: unknown): number => typeof value === 'string' ? 2 : typeof value === 'number' || typeof value === 'boolean' ? 1 : 0
  const start = (value: unknown): Buffer => Buffer.from([...String(value)].slice(0, 256).join(''))
  const compare = (a: unknown, b: unknown): number => {
    if (rank(a) !== rank(b)) return rank(a) - rank(b)
    return rank(a) === 2 ? Buffer.compare(start(a), start(b)) : rank(a) === 1 ? Number(Number(a) > Number(b)) - Number(Number(a) < Number(b)) : 0
  }
  return (a, b) => {
    for (const part of sort === '' ? [] : sort.split(',')) {
      const name = part.replace(/^-/, '')
      const sign = compare(valueIn(a, name), valueIn(b, name))
      if (sign !== 0) return part.startsWith('-') ? -sign : sign
    }
    return compare(a['id'], b['id'])
  }
}

interface Asked { where: Leaf | null, sort: string, limit: number, bytes: number, fields: string[] | null }

/** The pages of a list, as plainly as can be: each as long as `limit` and `bytes` let it be. */
function pagesOf (records: readonly Leaf[], { where, sort, limit, bytes, fields }: Asked, most: number): string[] {
  const pages: string[] = []
  const rest = records.filter(record => where === null || holds(where, record)).sort(order(sort))
    .map(record => JSON.stringify(fields === null ? record : Object.fromEntries(['id', ...fields].filter(name => Object.hasOwn(record, name)).map(name => [name, record[name]]))))
  while (pages.length < most) {
    let size = 0
    const over = rest.findIndex((text, index) => index === limit || ((size += Buffer.byteLength(text) + 1) > bytes && index > 0))
    pages.push(rest.splice(0, over < 0 ? rest.length : over).join('\n'))
    if (rest.length === 0) break
  }
  return pages
}

const sortKeys = ['s', 'n', 'b', 'u', 'o.x', 'o.a b', 'q"\\', 'id']
const asked: fc.Arbitrary<Asked> = fc.record({
  where: fc.oneof(where, fc.constant(null)),
  sort: fc.uniqueArray(fc.tuple(fc.constantFrom('', '-'), fc.constantFrom(...sortKeys)), { maxLength: 4, selector: ([, name]) => name }).map(keys => keys.map(key => key.join('')).join()),
  limit: fc.constantFrom(1, 2, 7, 50, 333, 1000),
  bytes: fc.constantFrom(1, 500, 5000, 1_048_576),
  fields: fc.oneof(fc.constant(null), fc.subarray(['s', 'n', 'tags', 'o', 'any']))
})

t.test(`${lists.toLocaleString('en')} lists have the same pages in memory, in SQLite and in words, whatever the where, sort, limit, bytes and fields`, { timeout: 240_000 }, async t => {
  const { inMemory, inSqlite, records, seed } = await filled(t, 900) // several windows
  for (const one of fc.sample(asked, { numRuns: lists, seed })) {
    const { properties } = inMemory.resource
    const sort = one.sort === '' ? [] : parseSort(one.sort, properties)
    const query = { where: one.where && parseWhere(one.where, properties), sort, limit: one.limit, bytes: one.bytes, fields: parseFields(one.fields, properties) }
    const expected = pagesOf(records, { ...one, fields: one.fields && [...one.fields].sort() }, pagesRead)
    for (const [name, things] of Object.entries({ inMemory, inSqlite })) {
      const pages: string[] = []
      for (let after: SortPlace | null = null; pages.length < pagesRead;) {
        const { items, next }: Page = await things.list({ ...query, after })
        pages.push(items.map(item => item.json).join('\n'))
        if (next === null) break
        after = readPlace(writePlace(next, one.sort), one.sort, sort.length)
      }
      if (JSON.stringify(pages) !== JSON.stringify(expected)) return t.fail(`seed ${seed}, ${name}: ${JSON.stringify(one)}`, { pages, expected })
    }
  }
  t.pass(`seed ${seed}`)
})

import fc from 'fast-check'
import t from 'tap'
import { parseSort } from '../../protocol/sort.ts'
import { parseWhere } from '../../protocol/where.ts'
import { memory } from '../../repository/memory.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { sqliteOptions } from '../helper.ts'
import { type Leaf, Thing, thing, where } from '../things.ts'

const pairs = 100_000

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

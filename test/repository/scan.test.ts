import fc from 'fast-check'
import t, { type Test } from 'tap'
import { compile } from '../../protocol/predicate.ts'
import { parseWhere } from '../../protocol/where.ts'
import { Person } from '../../plugin/options.ts'
import { Resource } from '../../repository/resource.ts'
import { Database } from '../../repository/sqlite/database.ts'
import { findDriver } from '../../repository/sqlite/driver.ts'
import { prepareLayout } from '../../repository/sqlite/layout.ts'
import { tablesOf } from '../../repository/sqlite/tables.ts'
import { Scan, type ScanOptions, scanSchema } from '../../repository/sqlite/scan.ts'
import { ada, driver } from '../helper.ts'

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const openFile = await findDriver(driver().driver)
const { properties } = new Resource({ name: 'people', noun: 'person', schema: Person })

/** A database in memory, and what writes to it. */
function open (t: Test): { database: Database, write: (id: string, age: number | null, job?: string) => void } {
  const connection = openFile(':memory:')
  t.teardown(() => connection.close())
  const tables = tablesOf('people')
  prepareLayout(connection, tables)
  const database = new Database(connection, tables, 1_048_576, () => {})
  database.exec(scanSchema)
  database.bounds() // its epoch is in every version
  const insert = connection.prepare('INSERT OR REPLACE INTO people (id, record) VALUES (?, ?)')
  const remove = connection.prepare('DELETE FROM people WHERE id = ?')
  return {
    database,
    write: (id, age, job = ada.job) => age === null ? remove.run(id) : insert.run(id, JSON.stringify({ id, ...ada, age, job }))
  }
}

const idOf = (index: number): string => `id-${String(index).padStart(4, '0')}`

t.test('a scan from both ends has the records of its position, each once, whatever is written meanwhile', async t => {
  const write = fc.tuple(fc.integer({ min: 0, max: 399 }), fc.oneof(fc.constant(null), fc.integer({ min: 0, max: 99 })))
  const window = fc.record({ from: fc.constantFrom('first' as const, 'last' as const), most: fc.constantFrom(1, 5, Infinity), writes: fc.array(write, { maxLength: 12 }) })
  const given = fc.record({
    before: fc.array(write, { maxLength: 400 }),
    windows: fc.array(window, { minLength: 1, maxLength: 40 }),
    where: fc.constantFrom(null, { age: { $gt: 50 } }, { job: 'nobody\'s' }),
    rows: fc.constantFrom(1, 7, 50),
    bytes: fc.constantFrom(1, 1000, 1_048_576),
    after: fc.constantFrom('', idOf(150))
  })
  const { database, write: put } = open(t)
  fc.assert(fc.property(given, ({ before, windows, where, rows, bytes, after }) => {
    database.exec('DELETE FROM people')
    for (const [index, age] of before) put(idOf(index), age)
    const condition = parseWhere(where, properties)
    const matches = compile(condition)
    const matching = (): string[] => database.records('SELECT id, record, version FROM people WHERE id > ? ORDER BY id', after)
      .filter(stored => matches(JSON.parse(stored.json))).map(stored => stored.version + stored.json)
    const expected = matching()
    const scan = new Scan(database, { position: database.bounds().head, where: condition, rows, bytes, after } satisfies ScanOptions)
    const found: string[] = []
    for (let round = 0; !scan.done; round++) {
      const { from, most, writes } = windows[round % windows.length] as typeof windows[number]
      let left = most
      scan.next(stored => {
        if (matches(JSON.parse(stored.json))) found.push(stored.version + stored.json)
        return --left > 0
      }, from)
      for (const [index, age] of round < 60 ? writes : []) put(idOf(index), age)
    }
    const undone = database.statement('SELECT count(*) AS count FROM temp.undo').get() as { count: number }
    const sorted = (list: readonly string[]): string => [...list].sort().join('\n')
    return undone.count === 0 && sorted(found) === sorted(expected)
  }), { seed, numRuns: 300 })
})

t.test('a window looks at no more bytes than it may, but at one record', async t => {
  const { database, write } = open(t)
  for (let index = 0; index < 40; index++) write(idOf(index), index, 'x'.repeat(index < 20 ? 10 : 100_000))
  for (const where of [null, parseWhere({ age: { $gte: 0 } }, properties)]) {
    for (const bytes of [1, 250_000]) {
      const scan = new Scan(database, { position: database.bounds().head, where, rows: 1000, bytes })
      let all = 0
      while (!scan.done) {
        let [size, last] = [0, 0]
        scan.next(stored => {
          last = stored.json.length
          size += last
          all++
          return true
        })
        if (size - last > bytes) t.fail(`${size} bytes in one window`)
      }
      t.equal(all, 40)
    }
  }
})

t.test('more than a window\'s time can note has been changed: it is noted over several, and then read', async t => {
  const { database, write } = open(t)
  for (let index = 0; index < 5000; index++) write(idOf(index), 1)
  const scan = new Scan(database, { position: database.bounds().head, where: null })
  for (let index = 0; index < 5000; index++) write(idOf(index), 2)
  const ages: number[] = []
  let empty = 0
  for (let round = 0; !scan.done; round++) {
    const before = ages.length
    scan.next(stored => ages.push((JSON.parse(stored.json) as typeof ada).age) > 0)
    if (ages.length === before && !scan.done) empty++
  }
  t.equal(empty, 1, 'after 2,000 of them; then it hurries')
  t.equal(ages.length, 5000)
  t.ok(ages.every(age => age === 1))
})

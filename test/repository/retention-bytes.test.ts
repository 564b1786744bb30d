import { statSync } from 'node:fs'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { findDriver } from '../../repository/sqlite/driver.ts'
import { type SqliteOptions, sqlite } from '../../repository/sqlite.ts'
import { sqliteOptions, until } from '../helper.ts'

const schema = Type.Object({ a: Type.String(), b: Type.Optional(Type.Integer()) })
const resource = new Resource({ name: 'things', noun: 'thing', schema })
const openFile = await findDriver(sqliteOptions(t).driver)

async function open (t: Test, options: SqliteOptions) {
  const things = new Repository(resource, await sqlite(options)(resource), error => t.error(error))
  t.teardown(() => things.close())
  return things
}

/** What all of the texts in the log come to. */
function sizes (t: Test, file: string) {
  const connection = openFile(file)
  t.teardown(() => connection.close())
  const sum = connection.prepare('SELECT total(octet_length(before)) + total(octet_length(after)) AS size FROM things_changes')
  return { connection, stored: () => (sum.get() as { size: number }).size }
}

for (const length of [10, 1000, 4000, 5000, 50_000]) {
  t.test(`the log holds no more than its bytes, with records of ${length} characters, whoever writes them`, async t => {
    const bytes = 200_000
    const options = sqliteOptions(t, { retention: { bytes } })
    const [one, two] = [await open(t, options), await open(t, options)]
    const { connection, stored } = sizes(t, options.file)
    const { id } = await one.create({ a: 'ä'.repeat(length / 2) })
    const rounds = Math.ceil(3 * bytes / (length + 200))
    for (let round = 0; round < rounds; round += 10) {
      await Promise.all(Array.from({ length: 5 }, (_, index) => [one, two][index % 2]?.patch(id, { b: round + index })))
      connection.exec(`BEGIN; ${Array.from({ length: 5 }, (_, index) => `UPDATE things SET record = json_set(record, '$.b', ${round + 5 + index}) WHERE id = '${id}'`).join(';')}; COMMIT`)
    }
    await until(() => stored() <= bytes, 'the trimming')
    const { floor, head, entries } = await one.log.changes(0, 100_000)
    t.ok(floor > 0 && floor < head)
    t.ok(stored() + entries.length * 100 > bytes - 4 * length - 400, 'no more than need be is forgotten')
    for (const [index, entry] of entries.entries()) {
      const next = entries[index + 1]
      t.ok(next === undefined || next.beforeJson === entry.json, 'each begins with what the one before ended with')
    }
    t.equal(entries.at(-1)?.json, (await one.get(id))?.json)
  })
}

t.test('the bytes win over count and age', async t => {
  const options = sqliteOptions(t, { retention: { bytes: 0, count: 1_000_000, age: 1e9 } })
  const things = await open(t, options)
  await things.create({ a: 'x' })
  await until(async () => (await things.log.changes(0, 0)).floor === 1, 'the trimming')
  t.match(await things.create({ a: 'y' }), { cursor: /\.2$/ })
})

t.test('a large record that is patched is stored once for each change, and a file at its cap grows no more', async t => {
  const options = sqliteOptions(t, { retention: { bytes: 4_000_000 } })
  const things = await open(t, options)
  const { connection } = sizes(t, options.file)
  const { id } = await things.create({ a: 'x'.repeat(1_000_000) })
  const patched: number[] = []
  for (let round = 0; round < 24; round++) {
    await things.patch(id, { b: round })
    await until(async () => (await things.log.changes(0, 0)).floor >= round - 3, 'the trimming')
    connection.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()
    patched.push(statSync(options.file).size)
  }
  t.ok((patched[3] ?? 0) < 6_500_000, `${patched[3]} bytes: the record, and one text for each change`)
  t.ok((patched.at(-1) ?? 0) <= Math.max(...patched.slice(0, 8)), `${patched.join()}: what was freed is used again`)
})

t.test('what has become of a large record is in the log, whatever came after', async t => {
  const options = sqliteOptions(t)
  const things = await open(t, options)
  const { connection } = sizes(t, options.file)
  const text = (id: string, b: number): string => JSON.stringify({ id, a: 'x'.repeat(5000), b })
  const large = (id: string, b: number): string => `'${text(id, b)}'`
  connection.exec(`
    INSERT INTO things (id, record) VALUES ('a', ${large('a', 1)}), ('b', ${large('b', 1)});
    UPDATE things SET record = json_set(record, '$.b', 2) WHERE id = 'a';
    INSERT OR REPLACE INTO things (id, record) VALUES ('a', ${large('a', 3)});
    UPDATE things SET record = '{"id":"a","a":"small"}' WHERE id = 'a';
    UPDATE things SET record = ${large('a', 4)} WHERE id = 'a';
    UPDATE OR REPLACE things SET id = 'b', record = json_set(record, '$.id', 'b') WHERE id = 'a';
    DELETE FROM things WHERE id = 'b';
    INSERT INTO things (id, record) VALUES ('b', ${large('b', 5)})`)
  await things.log.refresh()
  const { entries } = await things.log.changes(0, 100)
  t.same(entries.map(({ beforeJson, json }) => [beforeJson, json]), [
    [null, text('a', 1)], [null, text('b', 1)], [text('a', 1), text('a', 2)], [text('a', 2), text('a', 3)], [text('a', 3), '{"id":"a","a":"small"}'],
    ['{"id":"a","a":"small"}', text('a', 4)], [text('a', 4), null], [text('b', 1), text('b', 4)], [text('b', 4), null], [null, text('b', 5)]
  ])
  const plan = connection.prepare('EXPLAIN QUERY PLAN SELECT before FROM things_changes INDEXED BY things_large WHERE large = 1 AND id = ? AND position > ? ORDER BY position LIMIT 1').all('a', 1) as { detail: string }[]
  t.match(plan.map(({ detail }) => detail), [/SEARCH .* INDEX things_large \(id=\? AND rowid>\?\)/], 'found without a search through the log')
})

t.test('a page of the log ends at its bytes, with one entry at least', async t => {
  const things = await open(t, sqliteOptions(t))
  await things.createAll(Array.from({ length: 20 }, () => ({ a: 'x'.repeat(1000) })))
  const size = (await things.log.changes(0, 1)).entries[0]?.json?.length ?? 0
  for (const [bytes, count] of [[0, 1], [1, 1], [size, 1], [size + 1, 2], [5 * size, 5], [1e9, 20]] as const) {
    t.equal((await things.log.changes(0, 100, bytes)).entries.length, count, `${bytes} bytes`)
  }
  t.equal((await things.log.changes(0, 3, 1e9)).entries.length, 3)
  t.equal((await things.log.changes(0, 100)).entries.length, 20)
})

t.test('changes of others that come to many bytes are told in pages, none left out', async t => {
  const options = sqliteOptions(t, { pollInterval: 60_000 })
  const [one, two] = [await open(t, options), await open(t, options)]
  const pages: number[][] = []
  one.on('committed', entries => pages.push(entries.map(({ position }) => position)))
  for (let round = 0; round < 12; round++) await two.create({ a: 'x'.repeat(1_000_000) })
  await one.log.refresh()
  t.same(pages.flat(), Array.from({ length: 12 }, (_, index) => index + 1))
  t.ok(pages.length > 1 && pages.every(page => page.length <= 5))
})

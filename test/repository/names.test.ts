import t, { type Test } from 'tap'
import { Person } from '../../plugin/options.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { type Connection, findDriver } from '../../repository/sqlite/driver.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { ada, build, driver, grace, sqliteOptions } from '../helper.ts'

const openFile = await findDriver(driver().driver)

/** https://www.sqlite.org/lang_keywords.html */
const keywords = `abort action add after all alter always analyze and as asc attach autoincrement before begin between by cascade case cast check
  collate column commit conflict constraint create cross current current_date current_time current_timestamp database default deferrable deferred
  delete desc detach distinct do drop each else end escape except exclude exclusive exists explain fail filter first following for foreign from full
  generated glob group groups having if ignore immediate in index indexed initially inner insert instead intersect into is isnull join key last left
  like limit match materialized natural no not nothing notnull null nulls of offset on or order others outer over partition plan pragma preceding
  primary query raise range recursive references regexp reindex release rename replace restrict returning right rollback row rows savepoint select set
  table temp temporary then ties to transaction trigger unbounded union unique update using vacuum values view virtual when where window with without`.split(/\s+/)

const others = `new old excluded rowid oid main undo id record version position time before after floor epoch resource change_stream true false
  strict stored subquery kept newest former entry later part scan json json_valid length total hidden NEW Old a-b x-new people_insert
  sqlite-x sqliteen`.split(/\s+/)

async function open (t: Test, file: string, name: string) {
  const resource = new Resource({ name, noun: 'person', schema: Person })
  return new Repository(resource, await sqlite({ ...driver(), file, synchronous: 'normal' })(resource), error => t.error(error))
}

const person = (id: string, age: number): string => `'${JSON.stringify({ id, ...ada, age })}'`

/** All that can be done to a record, with the API and with plain SQL, among records that must stay as they are. */
async function exercise (t: Test, connection: Connection, file: string, name: string): Promise<void> {
  const people = await open(t, file, name)
  const told: unknown[] = []
  people.on('change', change => told.push([change.position, change.op, change.id, change.before?.age ?? null, change.op === 'save' ? change.record.age : null]))
  const bystander = await people.create(ada)
  const { id } = await people.create({ ...grace, age: 1 })
  const replaced = await people.replace(id, { ...grace, age: 2 })
  const patched = await people.patch(id, { age: 3 })
  await people.delete(id)
  const table = `"${name}"`
  connection.exec(`
    BEGIN;
    INSERT INTO ${table} (id, record) VALUES ('a', ${person('a', 4)}), ('b', ${person('b', 5)});
    UPDATE ${table} SET record = json_set(record, '$.age', 6) WHERE id = 'a';
    INSERT OR REPLACE INTO ${table} (id, record) VALUES ('a', ${person('a', 7)});
    REPLACE INTO ${table} (id, record) VALUES ('c', ${person('c', 8)});
    INSERT INTO ${table} (id, record) VALUES ('a', ${person('a', 0)}) ON CONFLICT (id) DO UPDATE SET record = json_set(record, '$.age', 9);
    INSERT OR IGNORE INTO ${table} (id, record) VALUES ('a', ${person('a', 1)});
    UPDATE ${table} SET id = 'd', record = json_set(record, '$.id', 'd') WHERE id = 'a';
    UPDATE OR REPLACE ${table} SET id = 'c', record = json_set(record, '$.id', 'c') WHERE id = 'b';
    UPDATE OR IGNORE ${table} SET id = 'c', record = json_set(record, '$.id', 'c') WHERE id = 'd';
    DELETE FROM ${table} WHERE id = 'd';
    COMMIT`)
  await people.log.refresh()
  const { items } = await people.list({ where: null, sort: [], limit: 10, after: null })
  t.same(told, [
    ['save', bystander.id, null, 36], ['save', id, null, 1], ['save', id, 1, 2], ['save', id, 2, 3], ['delete', id, 3, null],
    ['save', 'a', null, 4], ['save', 'b', null, 5], ['save', 'a', 4, 6], ['save', 'a', 6, 7], ['save', 'c', null, 8], ['save', 'a', 7, 9],
    ['delete', 'a', 9, null], ['save', 'd', null, 9], ['delete', 'b', 5, null], ['save', 'c', 8, 5], ['delete', 'd', 9, null]
  ].map((change, index) => [index + 1, ...change]), `the changes of ${name}`)
  t.same(items.map(({ id, version }) => [id, version]), [[bystander.id, bystander.version], ['c', people.log.cursor(15)]], 'each record has its own version')
  t.same([replaced.version, patched.version], [people.log.cursor(3), people.log.cursor(4)])
  t.equal((await people.patch('c', { age: 10 })).cursor, people.log.cursor(17))
  await people.close()
}

const names = [...keywords, ...others].filter((name, index, all) => all.findIndex(other => other.toLowerCase() === name.toLowerCase()) === index)
const perFile = 16

for (let start = 0; start < names.length; start += perFile) {
  const some = names.slice(start, start + perFile)
  t.test(`resources work, and none disturbs another of the same file, that are called ${some.join(', ')}`, async t => {
    const { file } = sqliteOptions(t, { file: `${t.testdir()}/${start}.db` })
    const connection = openFile(file)
    t.teardown(() => connection.close())
    for (const name of some) await exercise(t, connection, file, name)
    for (const name of [...some.slice(0, 2), ...some.slice(-2)]) {
      const reopened = await open(t, file, name)
      const { floor, head } = await reopened.log.changes(0, 0)
      t.same([floor, head], [0, 17], 'the log is the same after a restart')
      await reopened.close()
    }
  })
}

t.test('where a resource is called as another\'s trigger is, the logs of both are kept', async t => {
  const { file } = sqliteOptions(t)
  for (const name of ['people', 'people_insert', 'people', 'people_delete', 'people']) {
    const people = await open(t, file, name)
    await people.create(ada)
    if (name === 'people') t.equal((await people.log.changes(0, 100)).floor, 0)
    await people.close()
  }
})

t.test('a name that SQLite or this package needs is refused at register, and said', async t => {
  for (const name of ['sqlite', 'sqlite_x', 'SQLite_Master', 'sqlite_sequence', 'change_streams', 'Change_Stream_Epochs', 'json_each', 'JSON_tree', 'dbstat', 'pragma_table_info']) {
    const schema = Person
    await t.rejects(build(t, { resource: { name, schema }, repository: sqlite(sqliteOptions(t)) }), { name: 'TypeError', message: new RegExp(`resource name "${name}" can't be used`) })
  }
})

t.test('resources that would share a table are refused, whichever comes first', async t => {
  for (const [one, other] of [['people', 'people_changes'], ['people', 'people_replaced'], ['people', 'people_large'], ['people', 'People'], ['people', 'PEOPLE_Changes']] as const) {
    for (const [first, second] of [[one, other], [other, one]] as const) {
      const { file } = sqliteOptions(t, { file: `${t.testdir()}/${first}-${second}.db` })
      const people = await open(t, file, first)
      await people.create(ada)
      await t.rejects(open(t, file, second), { message: new RegExp(`resource "${first}".*"${second}"`) })
      t.equal((await people.log.changes(0, 10)).entries.length, 1)
      await people.create(grace)
      await people.close()
    }
  }
})

t.test('what the app has under one of the names is left alone', async t => {
  for (const sql of [
    'CREATE VIEW people AS SELECT 1 AS id, 2 AS record, 3 AS version',
    'CREATE TABLE own (a); CREATE INDEX people ON own (a)',
    'CREATE TABLE own (a); CREATE INDEX people_large ON own (a)',
    'CREATE TABLE people_large (id, record, version)'
  ]) {
    const { file } = sqliteOptions(t)
    const connection = openFile(file)
    connection.exec(sql)
    await t.rejects(open(t, file, 'people'), { message: /"people(_large)?" that is not one of ours/ }, sql)
    connection.exec('DROP TABLE IF EXISTS own; DROP TABLE IF EXISTS people_large')
    connection.close()
  }
})

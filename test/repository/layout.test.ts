import t, { type Test } from 'tap'
import { Person } from '../../plugin/options.ts'
import { parseCursor } from '../../protocol/cursor.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { type Connection, findDriver } from '../../repository/sqlite/driver.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { ada, driver, grace, sqliteOptions } from '../helper.ts'

const openFile = await findDriver(driver().driver)
const resource = new Resource({ name: 'people', noun: 'person', schema: Person })

const now = 'CAST(round((julianday(\'now\') - 2440587.5) * 86400000) AS INTEGER)'

/** A file as the first layout had it, word by word. */
const first = `
  CREATE TABLE change_streams (resource TEXT NOT NULL PRIMARY KEY, layout INTEGER NOT NULL, epoch TEXT NOT NULL, floor INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE change_stream_epochs (resource TEXT NOT NULL, up_to INTEGER NOT NULL, epoch TEXT NOT NULL, PRIMARY KEY (resource, up_to)) STRICT, WITHOUT ROWID;
  CREATE TABLE "people" (id TEXT NOT NULL PRIMARY KEY, record TEXT NOT NULL CHECK (record ->> '$.id' IS id), version INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
  CREATE TABLE "people_changes" (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, time INTEGER NOT NULL, before TEXT, before_version INTEGER, after TEXT) STRICT;
  CREATE TABLE "people_replaced" (id TEXT NOT NULL PRIMARY KEY, record TEXT NOT NULL, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TRIGGER "people_replace" BEFORE INSERT ON "people" WHEN EXISTS (SELECT 1 FROM "people" WHERE id = NEW.id) BEGIN
    DELETE FROM "people_replaced" WHERE id = NEW.id;
    INSERT INTO "people_replaced" SELECT id, record, version FROM "people" WHERE id = NEW.id;
  END;
  CREATE TRIGGER "people_insert" AFTER INSERT ON "people" BEGIN
    INSERT INTO "people_changes" (id, time, before, before_version, after) VALUES (NEW.id, ${now}, (SELECT record FROM "people_replaced" WHERE id = NEW.id), (SELECT version FROM "people_replaced" WHERE id = NEW.id), NEW.record);
    UPDATE "people" SET version = last_insert_rowid() WHERE id = NEW.id;
    DELETE FROM "people_replaced" WHERE id = NEW.id;
  END;
  CREATE TRIGGER "people_update" AFTER UPDATE OF id, record ON "people" WHEN NEW.id = OLD.id AND NEW.record <> OLD.record BEGIN
    INSERT INTO "people_changes" (id, time, before, before_version, after) VALUES (NEW.id, ${now}, OLD.record, OLD.version, NEW.record);
    UPDATE "people" SET version = last_insert_rowid() WHERE id = NEW.id;
    DELETE FROM "people_replaced" WHERE id = NEW.id;
  END;
  CREATE TRIGGER "people_rename" AFTER UPDATE OF id, record ON "people" WHEN NEW.id <> OLD.id BEGIN
    INSERT INTO "people_changes" (id, time, before, before_version, after) VALUES (OLD.id, ${now}, OLD.record, OLD.version, NULL);
    INSERT INTO "people_changes" (id, time, before, before_version, after) VALUES (NEW.id, ${now}, NULL, NULL, NEW.record);
    UPDATE "people" SET version = last_insert_rowid() WHERE id = NEW.id;
    DELETE FROM "people_replaced" WHERE id = OLD.id;
  END;
  CREATE TRIGGER "people_delete" AFTER DELETE ON "people" BEGIN
    INSERT INTO "people_changes" (id, time, before, before_version, after) VALUES (OLD.id, ${now}, OLD.record, OLD.version, NULL);
    DELETE FROM "people_replaced" WHERE id = OLD.id;
  END;
  INSERT INTO change_streams VALUES ('people', 1, 'firstEpoch', 0)`

const person = (id: string, more: object = {}): string => JSON.stringify({ id, ...ada, ...more })

function made (t: Test, file: string): Connection {
  const connection = openFile(file)
  t.teardown(() => { try { connection.close() } catch {} })
  connection.exec(`PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; ${first}`)
  return connection
}

async function open (t: Test, file: string) {
  const failures: string[] = []
  const people = new Repository(resource, await sqlite({ ...driver(), file })(resource), error => failures.push(String(error)))
  t.teardown(() => people.close())
  return { people, failures }
}

t.test('a file of the first layout is brought up to date, with all that it holds, rows that are no records too', async t => {
  const { file } = sqliteOptions(t)
  const connection = made(t, file)
  const insert = connection.prepare('INSERT INTO people (id, record) VALUES (?, ?)')
  insert.run('a', person('a'))
  insert.run('b', person('b', { job: 'x'.repeat(10_000) }))
  insert.run('bad', '{id:"bad"}')
  connection.exec('PRAGMA ignore_check_constraints = ON')
  insert.run('c', 'no JSON at all')
  insert.run('D', '{"id":"D","a":\n1}')
  connection.exec(`UPDATE people SET record = json_set(record, '$.age', 37) WHERE id = 'a'; UPDATE people SET record = '${person('c')}' WHERE id = 'c'`)
  for (let start = 0; start < 2; start++) {
    const { people, failures } = await open(t, file)
    const { floor, head, entries } = await people.log.changes(0, 100)
    t.same([floor, head], [0, 7], 'the log is the same one')
    t.ok(people.log.includes(parseCursor('firstEpoch.7') ?? { epoch: '', position: 0 }))
    t.same(entries.map(({ id, version, beforeJson, json }) => [id, version, beforeJson, json]), [
      ['a', 'firstEpoch.1', null, person('a')], ['b', 'firstEpoch.2', null, person('b', { job: 'x'.repeat(10_000) })], ['bad', 'firstEpoch.3', null, null],
      ['c', 'firstEpoch.4', null, null], ['D', 'firstEpoch.5', null, null], ['a', 'firstEpoch.6', person('a'), person('a', { age: 37 })], ['c', 'firstEpoch.7', null, person('c')]
    ])
    const { items } = await people.list({ where: null, sort: [], limit: 100, after: null })
    t.same(items.map(({ id, version }) => [id, version]), [['a', 'firstEpoch.6'], ['b', 'firstEpoch.2'], ['c', 'firstEpoch.7']])
    t.equal(failures.length, 3, 'each is logged once')
    await people.close()
  }
  const { people } = await open(t, file)
  t.match((await people.patch('a', { age: 38 })).cursor, /\.8$/)
  connection.exec('PRAGMA ignore_check_constraints = OFF')
  t.throws(() => insert.run('e', '{id:"e"}'), { message: /constraint/ }, 'what is no record is refused from then on')
  connection.exec('UPDATE people SET record = json_set(record, \'$.age\', 39) WHERE id = \'a\'')
  await people.log.refresh()
  t.equal((await people.get('a'))?.record.age, 39)
})

t.test('a log that is empty goes on behind its last position', async t => {
  const { file } = sqliteOptions(t)
  const connection = made(t, file)
  connection.exec(`INSERT INTO people (id, record) VALUES ('a', '${person('a')}'), ('b', '${person('b')}'); DELETE FROM people; DELETE FROM people_changes; UPDATE change_streams SET floor = 4`)
  const { people } = await open(t, file)
  const { floor, head } = await people.log.changes(4, 1)
  t.same([floor, head], [4, 4])
  t.match((await people.create(grace)).cursor, /\.5$/)
})

t.test('indexes, triggers, views and references that the app has put on the table are kept', async t => {
  const { file } = sqliteOptions(t)
  const connection = made(t, file)
  connection.exec(`
    CREATE UNIQUE INDEX by_name ON people (record ->> '$.lastName');
    CREATE TABLE seen (id TEXT);
    CREATE TRIGGER people_seen AFTER INSERT ON people BEGIN INSERT INTO seen VALUES (NEW.id); END;
    CREATE VIEW names AS SELECT record ->> '$.lastName' AS name FROM people;
    CREATE TABLE orders (person TEXT REFERENCES people (id) ON DELETE CASCADE);
    INSERT INTO people (id, record) VALUES ('a', '${person('a')}');
    INSERT INTO orders VALUES ('a')`)
  const { people } = await open(t, file)
  await t.rejects(people.create(ada), { code: 'conflict' })
  const { id } = await people.create(grace)
  const all = (sql: string): unknown[] => connection.prepare(sql).all().map(row => Object.values(row as object)[0])
  t.same(all('SELECT id FROM seen'), ['a', id])
  t.same(all('SELECT name FROM names ORDER BY name'), ['Hopper', 'Lovelace'])
  t.same(all('SELECT person FROM orders'), ['a'])
  t.same(all('PRAGMA foreign_key_check'), [])
  t.throws(() => connection.exec('INSERT INTO orders VALUES (\'nobody\')'), { message: /FOREIGN KEY/ })
  await people.delete('a')
  t.same(all('SELECT person FROM orders'), [])
  t.equal((connection.prepare('PRAGMA integrity_check').get() as { integrity_check: string }).integrity_check, 'ok')
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, existsSync, readFileSync, renameSync } from 'node:fs'
import t, { type Test } from 'tap'
import { parseCursor } from '../../protocol/cursor.ts'
import { parseWhere } from '../../protocol/where.ts'
import { Person } from '../../plugin/options.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { findDriver } from '../../repository/sqlite/driver.ts'
import { type SqliteOptions, sqlite } from '../../repository/sqlite.ts'
import { ada, driver, grace, sqliteOptions, until } from '../helper.ts'

type People = Repository<typeof Person>

const resource = new Resource({ name: 'people', noun: 'person', schema: Person })
const openFile = await findDriver(driver().driver)

async function open (t: Test, options: SqliteOptions): Promise<People> {
  const people = new Repository(resource, await sqlite({ ...driver(), ...options })(resource), error => t.error(error))
  t.teardown(() => people.close())
  return people
}

/** Another connection to the file, as another process would have it. */
function other (t: Test, file: string): ReturnType<typeof openFile> {
  const connection = openFile(file)
  t.teardown(() => { try { connection.close() } catch {} })
  return connection
}

/** Whether a cursor may be resumed from. */
function includes (people: People, cursor: string): boolean {
  const parsed = parseCursor(cursor)
  return parsed !== null && people.log.includes(parsed)
}

const person = (id: string, more: object = {}): string => JSON.stringify({ id, ...ada, ...more })

t.test('records, versions, log and cursors survive a restart', async t => {
  const options = sqliteOptions(t)
  const before = await open(t, options)
  const saved = await before.createAll([ada, grace])
  await before.patch(saved[0]?.id ?? '', { age: 37 })
  const { cursor } = await before.patch(saved[1]?.id ?? '', { age: 80 })
  const { version } = await before.get(saved[1]?.id ?? '') ?? {}
  const { entries } = await before.log.changes(0, 10)
  await before.close()
  t.notOk(existsSync(`${options.file}-wal`), 'nothing is left beside the file')
  const after = await open(t, options)
  t.equal(after.log.cursor(after.log.position), cursor)
  t.ok(includes(after, cursor))
  t.equal((await after.get(saved[1]?.id ?? ''))?.version, version)
  t.same((await after.log.changes(0, 10)).entries.map(entry => entry.toChange()), entries.map(entry => entry.toChange()))
  t.match((await after.create(ada)).cursor, /\.5$/)
})

t.test('writes of one turn share one transaction and so one sync', async t => {
  const options = sqliteOptions(t)
  const people = await open(t, options)
  await people.create(ada)
  const commits = (): number => {
    const wal = readFileSync(`${options.file}-wal`)
    const frame = 24 + wal.readUInt32BE(8)
    let count = 0 // frames that bear the size of the file, which the last frame of a transaction does (SQLite file format, 4.1)
    for (let at = 32; at + frame <= wal.length; at += frame) if (wal.readUInt32BE(at + 4) > 0) count++
    return count
  }
  const start = commits()
  await Promise.all(Array.from({ length: 100 }, () => people.create(ada)))
  t.equal(commits() - start, 1)
})

t.test('what another process writes is streamed, in order, with what was there before', async t => {
  const options = sqliteOptions(t)
  const people = await open(t, options)
  const told: unknown[] = []
  people.on('change', change => told.push([change.op, change.id, change.before?.age, change.op === 'save' && change.record.age]))
  const connection = other(t, options.file)
  connection.exec(`
    INSERT INTO people (id, record) VALUES ('a', '${person('a')}');
    UPDATE people SET record = json_set(record, '$.age', 37) WHERE id = 'a';
    UPDATE people SET record = record;
    INSERT OR REPLACE INTO people (id, record) VALUES ('a', '${person('a', { age: 38 })}');
    INSERT INTO people (id, record) VALUES ('a', '${person('a')}') ON CONFLICT (id) DO UPDATE SET record = json_set(record, '$.age', 39);
    INSERT OR IGNORE INTO people (id, record) VALUES ('a', '${person('a', { age: 1 })}');
    BEGIN; INSERT INTO people (id, record) VALUES ('x', '${person('x')}'); ROLLBACK;
    UPDATE people SET id = 'b', record = json_set(record, '$.id', 'b') WHERE id = 'a';
    DELETE FROM people WHERE id = 'b';
    INSERT INTO people (id, record) VALUES ('a', '${person('a', { age: 40 })}');
  `)
  await people.log.refresh()
  t.same(told, [
    ['save', 'a', undefined, 36], ['save', 'a', 36, 37], ['save', 'a', 37, 38], ['save', 'a', 38, 39],
    ['delete', 'a', 39, false], ['save', 'b', undefined, 39], ['delete', 'b', 39, false], ['save', 'a', undefined, 40]
  ])
  connection.exec('INSERT INTO people (id, record) VALUES (\'c\', \'{\n  "id": "c",\r\n  "age": 1\n}\')')
  await until(() => told.length === 9, 'the poll')
  t.equal((await people.get('c'))?.json, '{"id":"c","age":1}', 'on one line, whatever it was')
  t.equal((await people.log.changes(8, 1)).entries[0]?.json, '{"id":"c","age":1}')
  t.throws(() => connection.exec('INSERT INTO people (id, record) VALUES (\'d\', \'no json\')'))
  t.throws(() => connection.exec(`INSERT INTO people (id, record) VALUES ('d', '${person('e')}')`), 'the record bears its id')
})

t.test('two processes on one file tell the same changes at the same positions', async t => {
  const options = sqliteOptions(t)
  const one = await open(t, options)
  const two = await open(t, options)
  const told = [one, two].map(people => {
    const list: string[] = []
    people.on('change', change => list.push(`${change.position} ${change.op} ${change.id}`))
    return list
  })
  await Promise.all(Array.from({ length: 200 }, async (_, index) => {
    const people = index % 2 ? one : two
    const { id } = await people.create({ ...ada, age: index })
    await (index % 3 ? people.patch(id, { age: 1000 + index }) : people.delete(id))
  }))
  await Promise.all([one.log.refresh(), two.log.refresh()])
  t.same(told[0], told[1])
  t.same(told[0]?.map(text => Number(text.split(' ')[0])), Array.from({ length: 400 }, (_, index) => index + 1))
  t.equal(one.log.cursor(400), two.log.cursor(400))
  t.ok(includes(one, two.log.cursor(400)) && includes(two, one.log.cursor(400)))
})

t.test('a lock that someone else holds does not block the event loop, and the write goes through when it is gone', async t => {
  const options = sqliteOptions(t)
  const people = await open(t, options)
  const connection = other(t, options.file)
  connection.exec('BEGIN IMMEDIATE')
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  const writing = Promise.all([people.create(ada), people.create(grace)])
  await until(() => turns > 20)
  t.equal((await people.list({ where: null, sort: [], limit: 10, after: null })).items.length, 0, 'reading goes on')
  connection.exec('COMMIT')
  t.equal((await writing).length, 2)
  clearInterval(timer)
})

t.test('a lock that is held too long: the write is given up, and says when to try again', async t => {
  const options = sqliteOptions(t, { busyTimeout: 60 })
  const people = await open(t, options)
  const connection = other(t, options.file)
  connection.exec('BEGIN IMMEDIATE')
  await t.rejects(people.create(ada), { code: 'unavailable', statusCode: 503, retryAfter: 1000 })
  connection.exec('COMMIT')
  await people.create(grace)
  t.equal((await people.log.changes(0, 10)).head, 1)
  connection.exec('BEGIN EXCLUSIVE')
  await t.rejects(sqlite({ ...options })(resource), { code: 'unavailable', message: /locked/ })
  connection.exec('COMMIT')
})

t.test('a file that can not be used is refused at once, with the reason', async t => {
  const directory = t.testdir({ 'text.db': 'This is no database, though it is long enough to be taken for one. '.repeat(20), full: {} })
  const openAt = async (file: string): Promise<unknown> => await sqlite({ ...driver(), file, busyTimeout: 50 })(resource)
  await t.rejects(openAt(`${directory}/text.db`), { code: 'unavailable', message: /text\.db.*no SQLite database/ })
  await t.rejects(openAt(`${directory}/missing/people.db`), { code: 'unavailable', message: /missing/ })
  await t.rejects(openAt(directory), { code: 'unavailable' })
  t.throws(() => sqlite({ file: ':memory:' }), { message: /memory\(\)/ })
  t.throws(() => sqlite({ file: '' }), { message: /file/ })
  t.throws(() => sqlite({} as never), { message: /file/ })

  const newer = `${directory}/newer.db`
  const people = await open(t, { file: newer })
  await people.create(ada)
  await people.close()
  other(t, newer).exec('UPDATE change_streams SET layout = 99')
  await t.rejects(openAt(newer), { message: /layout 99.*update/ })
  other(t, newer).exec('UPDATE change_streams SET layout = 1')
  t.equal((await (await open(t, { file: newer })).log.changes(0, 10)).head, 1, 'nothing was lost')

  const foreign = `${directory}/foreign.db`
  other(t, foreign).exec('CREATE TABLE people (name TEXT); INSERT INTO people VALUES (\'Ada\')')
  await t.rejects(openAt(foreign), { message: /table "people".*not one of ours/ })
  t.same(other(t, foreign).prepare('SELECT name FROM people').all().map(row => ({ ...row as object })), [{ name: 'Ada' }])
})

t.test('a file that is read-only is refused at once', { skip: process.getuid?.() === 0 && !existsSync('/usr/bin/setpriv') && 'needs a user who is not root, or setpriv (util-linux)' }, async t => {
  const directory = t.testdir()
  const file = `${directory}/people.db`
  const people = await open(t, { file })
  await people.create(ada)
  await people.close()
  chmodSync(file, 0o444)
  chmodSync(directory, 0o555)
  const { output } = await script(`await sqlite({ file: ${JSON.stringify(file)} })(resource)`, process.getuid?.() === 0 ? ['/usr/bin/setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [])
  chmodSync(directory, 0o755)
  t.match(output, /can't use .*people\.db: it is read-only/)
})

t.test('a full disk fails the writes that do not fit, and loses nothing', async t => {
  const file = `${t.testdir()}/people.db`
  const { output } = await script(`
    const people = new Repository(resource, await sqlite({ file: ${JSON.stringify(file)} })(resource), () => {})
    const kept = []
    const failed = []
    for (let round = 0; round < 200 && failed.length < 3; round++) {
      const answers = await Promise.allSettled(Array.from({ length: 10 }, () => people.create({ ...ada, job: 'x'.repeat(5000) })))
      for (const answer of answers) answer.status === 'fulfilled' ? kept.push(answer.value.id) : failed.push(answer.reason.code)
    }
    console.log(JSON.stringify({ kept, failed }))
    process.exit(0)
  `, ['/bin/bash', '-c', 'ulimit -f 2000; exec "$@"', 'limited'])
  const { kept, failed } = JSON.parse(output) as { kept: string[], failed: string[] }
  t.ok(kept.length > 20)
  t.ok(failed.length >= 3 && failed.every(code => code === 'unavailable'))
  const people = await open(t, { file })
  const { entries, head } = await people.log.changes(0, 10_000)
  t.same(entries.map(entry => entry.id).sort(), kept.sort())
  t.equal(head, kept.length)
  for (const id of kept) t.ok(await people.get(id))
  await people.create(ada)
})

t.test('a log that was restored gives no cursor out twice, and knows those that it has given out', async t => {
  for (const restore of [copyFileSync, renameSync]) {
    const options = sqliteOptions(t)
    const file = `${options.file}-${restore.name}`
    const start = async (): Promise<People> => await open(t, { ...options, file })
    const write = async (people: People, count: number): Promise<string[]> => (await people.createAll(Array.from({ length: count }, () => ada))).map(({ cursor }) => cursor)
    const before = await start()
    const kept = await write(before, 3)
    await before.close()
    const again = await start()
    kept.push(...await write(again, 3))
    await again.close()
    copyFileSync(file, `${file}.backup`)

    const original = await start()
    const lost = await write(original, 3)
    await original.close()
    restore(`${file}.backup`, file)
    const restored = await start()
    for (const round of ['before', 'after']) {
      for (const cursor of kept) t.ok(includes(restored, cursor), `${cursor} ${round} a write`)
      for (const cursor of lost) t.notOk(includes(restored, cursor), `${cursor} ${round} a write`)
      const own = await write(restored, 3)
      t.notOk(own.some(cursor => lost.includes(cursor)))
      for (const cursor of own) t.ok(includes(restored, cursor))
    }
    await restored.close()
  }
})

t.test('a process that opens the file while others have it open begins an epoch for all', async t => {
  const options = sqliteOptions(t)
  const one = await open(t, options)
  const first = await one.create(ada)
  let resets = 0
  one.on('reset', () => resets++)
  const two = await open(t, options)
  const { id, cursor } = await two.create(ada)
  t.not(cursor.split('.')[0], first.cursor.split('.')[0])
  t.equal((await one.get(id))?.version, cursor)
  t.ok(includes(one, cursor))
  t.equal((await one.create(ada)).cursor.split('.')[0], cursor.split('.')[0])
  t.equal((await two.get(first.id))?.version, first.version)
  t.equal(resets, 0)
})

t.test('others that come and go without a write disturb nobody', async t => {
  const options = sqliteOptions(t)
  const first = await open(t, options)
  const { cursor } = await first.create(ada)
  await first.close()
  const one = await open(t, options)
  let resets = 0
  one.on('reset', () => resets++)
  for (let round = 0; round < 3; round++) {
    const two = await open(t, options)
    await one.log.refresh()
    await two.close()
    await one.log.refresh()
  }
  t.equal(resets, 0)
  t.ok(includes(one, cursor))
  t.match((await one.create(ada)).cursor, /\.2$/)
})

t.test('tables that are the app\'s own, or another resource\'s, are refused and left alone', async t => {
  for (const taken of ['people_changes', 'people_replaced']) {
    const options = sqliteOptions(t, { file: `${t.testdir()}/${taken}.db` })
    const connection = openFile(options.file)
    connection.exec(`CREATE TABLE ${taken} (name TEXT); INSERT INTO ${taken} VALUES ('Ada')`)
    await t.rejects(open(t, options), { message: new RegExp(`table "${taken}".*not one of ours`) })
    t.equal((connection.prepare(`SELECT count(*) AS count FROM ${taken}`).get() as { count: number }).count, 1)
    connection.close()
  }
  const options = sqliteOptions(t)
  await (await open(t, options)).create(ada)
  for (const name of ['People', 'people_changes']) {
    const other = new Resource({ name, noun: 'person', schema: Person })
    if (name === 'People') await t.rejects(sqlite({ ...driver(), ...options })(other), { message: /has a resource "people"/ })
    else await t.rejects(sqlite({ ...driver(), ...options })(other), { message: /table "people_changes".*not one of ours/ })
  }
  t.equal((await (await open(t, options)).log.changes(0, 10)).head, 1)
})

t.test('a write that is committed while the store closes is answered, although another process has written before it', async t => {
  const options = sqliteOptions(t, { pollInterval: 60_000 })
  const one = await open(t, options)
  const two = await open(t, options)
  await two.create(ada)
  const write = one.create(ada)
  await one.close()
  t.match(await write, { cursor: /\.2$/ })
})

t.test('a log that was rebuilt or lost is another', async t => {
  const options = sqliteOptions(t)
  const start = await open(t, options)
  const { id, version, cursor } = await start.create(ada)
  const cursors = [cursor, (await start.patch(id, { age: 37 })).cursor]
  await start.close()
  for (const loss of ['DROP TABLE people_changes', 'DROP TRIGGER people_update']) {
    const connection = openFile(options.file)
    connection.exec(loss)
    connection.close()
    const people = await open(t, options)
    for (const cursor of cursors) t.notOk(includes(people, cursor), loss)
    t.same((await people.get(id))?.record.age, 37, 'the records are there')
    t.not((await people.get(id))?.version, version)
    const next = await people.create(grace)
    t.notOk(cursors.some(cursor => cursor.split('.')[1] === next.cursor.split('.')[1]), 'no position is given out twice')
    cursors.push(next.cursor)
    await people.close()
  }
})

t.test('a log that is replaced under a running server is noticed', async t => {
  const options = sqliteOptions(t)
  const people = await open(t, options)
  await people.create(ada)
  let resets = 0
  people.on('reset', () => resets++)
  other(t, options.file).exec("UPDATE change_streams SET epoch = 'another'")
  await until(() => resets === 1)
  t.equal(people.log.epoch, 'another')
  t.match((await people.create(ada)).cursor, /^another\.2$/)
})

t.test('one driver does as the other, if both are here', async t => {
  const file = `${t.testdir()}/people.db`
  let drivers = 0
  for (const name of ['node', 'better-sqlite3'] as const) {
    const here = await findDriver(name).then(open => open(':memory:').close()).then(() => true, () => false) // better-sqlite3 loads its binary, which is for one version of Node, when it first opens a file
    if (!here) continue
    const people = await open(t, { file, driver: name })
    const one = await people.create({ ...ada, job: '\u{1f600}' })
    t.same((await people.get(one.id))?.record, { id: one.id, ...ada, job: '\u{1f600}' })
    t.equal((await people.list({ where: parseWhere({ job: '\u{1f600}' }, resource.properties), sort: [], limit: 10, after: null })).items.length, ++drivers)
    await people.close()
  }
  t.ok(drivers > 0)
  await t.rejects(findDriver('neither' as never).then(open => open('/nowhere/x.db')))
})

/** What a process of its own prints, or the message of the error that ends it. */
async function script (body: string, command: readonly string[]): Promise<{ output: string }> {
  const at = (path: string): string => JSON.stringify(new URL(`../../${path}`, import.meta.url).href)
  const code = `
    import { Person } from ${at('plugin/options.ts')}
    import { Repository } from ${at('repository/repository.ts')}
    import { Resource } from ${at('repository/resource.ts')}
    import { sqlite } from ${at('repository/sqlite.ts')}
    const resource = new Resource({ name: 'people', noun: 'person', schema: Person })
    const ada = ${JSON.stringify(ada)}
    try { ${body} } catch (error) { console.log(error.message) }
  `
  const [program = process.execPath, ...args] = [...command, process.execPath, '--import=tsx', '--input-type=module', '-e', code]
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stderr.pipe(process.stderr) // the child's own limit on files must not meet a log that this process writes
  let output = ''
  child.stdout.on('data', chunk => { output += chunk })
  await once(child, 'close')
  return { output: output.trim() }
}

import t from 'tap'
import { ChangeStreamError } from '../../protocol/errors.ts'
import { Type } from '@sinclair/typebox'
import { findDriver } from '../../repository/sqlite/driver.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { ada, build, driver, listen, request, sqliteOptions, stores } from '../helper.ts'

const loose = { name: 'people', noun: 'person', schema: Type.Object({ any: Type.Optional(Type.Unknown()) }) }

function nested (depth: number): unknown {
  let value: unknown = 1
  for (let level = 0; level < depth; level++) value = { a: value }
  return value
}

/** What can't be kept, as an app's own code may hand it over, and what it is refused as. */
const bad: ReadonlyArray<{ what: string, code: string, make (): unknown }> = [
  { what: 'a BigInt', code: 'invalid-body', make: () => ({ any: 5n }) },
  {
    what: 'a value that contains itself',
    code: 'invalid-body',
    make: () => {
      const value: Record<string, unknown> = {}
      value['any'] = value
      return value
    }
  },
  { what: 'a value 101 levels deep', code: 'invalid-body', make: () => ({ any: nested(101) }) },
  { what: 'a value 100,000 levels deep', code: 'invalid-body', make: () => ({ any: nested(100_000) }) },
  { what: 'a toJSON that throws', code: 'invalid-body', make: () => ({ any: { toJSON: () => { throw new Error('no') } } }) },
  { what: 'a getter that throws', code: 'invalid-body', make: () => ({ any: { get one () { throw new Error('no') } } }) },
  { what: 'a record that is too large', code: 'too-large', make: () => ({ any: 'x'.repeat(1_100_000) }) },
  { what: 'a record that is too large in bytes alone', code: 'too-large', make: () => ({ any: 'ü'.repeat(530_000) }) }
]

for (const [name, open] of Object.entries(stores)) {
  t.test(`a write that can't be done is refused alone, over ${name}`, async t => {
    const app = await build(t, { resource: loose, repository: open(t) })
    const people = app.changeStreams.people as unknown as { [method: string]: (...args: unknown[]) => Promise<{ id: string }> }
    const { id } = await people['create']?.({ any: 0 }) as { id: string }
    const attempts: Array<{ what: string, code: string, write: () => Promise<unknown> | undefined }> = bad.flatMap(({ what, code, make }) => [
      { what: `${what}, patched`, code, write: () => people['patch']?.(id, make()) },
      { what: `${what}, created`, code, write: () => people['create']?.(make()) },
      { what: `${what}, in a batch`, code, write: () => people['createAll']?.([{ any: 1 }, make()]) },
      { what: `${what}, replaced`, code, write: () => people['replace']?.(id, make()) }
    ])
    for (const conditions of [{ ifMatch: 5 }, { ifMatch: 'abc' }, { ifNoneMatch: [5] }, { ifMatch: {} }, { ifMatch: null }]) {
      const what = JSON.stringify(conditions)
      attempts.push({ what, code: 'invalid-header', write: () => people['patch']?.(id, { any: 2 }, conditions) })
      attempts.push({ what, code: 'invalid-header', write: () => people['delete']?.(id, conditions) })
      attempts.push({ what, code: 'invalid-header', write: () => people['replace']?.(id, { any: 2 }, conditions) })
    }
    for (const key of [5, null, undefined, {}]) {
      attempts.push({ what: `an id of ${typeof key}`, code: 'invalid-body', write: () => people['patch']?.(key, {}) })
      attempts.push({ what: `an id of ${typeof key}`, code: 'invalid-body', write: () => people['get']?.(key) })
      attempts.push({ what: `an id of ${typeof key}`, code: 'invalid-body', write: () => people['delete']?.(key) })
    }
    for (const { what, code, write } of attempts) {
      const [before, result, after] = await Promise.allSettled([people['create']?.({ any: 1 }), write(), people['create']?.({ any: 2 })])
      t.same([before?.status, after?.status], ['fulfilled', 'fulfilled'], `${what}: the others are written`)
      if (result?.status !== 'rejected') t.fail(`${what} was not refused`)
      else t.match(result.reason, { code }, what)
      if (result?.status === 'rejected') t.ok(result.reason instanceof ChangeStreamError)
    }
    t.match(await people['get']?.(id), { record: { any: 0 } }, 'and what was there is as it was')
  })

  t.test(`patches that each fit the body's limit don't add up to a record that is too large, over ${name}`, async t => {
    const app = await build(t, { resource: loose, repository: open(t), maxRecord: 2000 })
    const origin = await listen(app)
    const { body: { id } } = await request<{ id: string }>(`${origin}/people`, 'POST', { any: {} })
    const answers = []
    for (let part = 0; part < 4; part++) answers.push((await request(`${origin}/people/${id}`, 'PATCH', { any: { [part]: 'x'.repeat(600) } })).status)
    t.same(answers, [200, 200, 200, 413])
    t.equal((await request(`${origin}/people`, 'POST', { any: 'x'.repeat(2000) })).status, 413)
    t.equal((await request(`${origin}/people`, 'POST', [{ any: 1 }, { any: 'x'.repeat(2000) }])).status, 413)
    t.equal((await request<unknown[]>(`${origin}/people`)).body.length, 1)
  })

  t.test(`a listener that throws, at once or later, is heard of, and the others are told, over ${name}`, async t => {
    const lines: Array<{ msg: string, err?: { message: string } }> = []
    const stream = { write: (line: string) => { lines.push(JSON.parse(line) as { msg: string }) } }
    const app = await build(t, { repository: open(t) }, { logger: { level: 'error', stream } })
    const { people } = app.changeStreams
    const told: string[] = []
    people.on('change', () => { throw new Error('at once') })
    people.on('change', async () => { throw new Error('later') })
    people.once('change', async () => { throw new Error('once') })
    people.on('committed', async () => { throw new Error('committed') })
    people.on('change', ({ id }) => told.push(id))
    const { id } = await people.create(ada)
    const other = await people.create(ada)
    await new Promise(resolve => setImmediate(resolve))
    t.same(told, [id, other.id])
    t.same(lines.map(({ err }) => err?.message).sort(), ['at once', 'at once', 'committed', 'committed', 'later', 'later', 'once'])
  })
}

t.test('what an app\'s own triggers refuse is refused alone, however they say it', async t => {
  const options = sqliteOptions(t)
  const app = await build(t, { repository: sqlite({ ...options, ...driver() }) })
  const { people } = app.changeStreams
  const database = (await findDriver(driver().driver))(options.file)
  t.teardown(() => database.close())
  database.exec(`
    CREATE TABLE jobs (name TEXT PRIMARY KEY);
    INSERT INTO jobs VALUES ('mathematician');
    CREATE TABLE holders (job TEXT REFERENCES jobs (name) DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER own AFTER INSERT ON people BEGIN
      SELECT RAISE(ABORT, 'aborted') WHERE NEW.record ->> '$.job' = 'abort';
      SELECT RAISE(FAIL, 'failed') WHERE NEW.record ->> '$.job' = 'fail';
      SELECT RAISE(ROLLBACK, 'rolled back') WHERE NEW.record ->> '$.job' = 'rollback';
      SELECT json_extract('{', '$') WHERE NEW.record ->> '$.job' = 'error';
      INSERT INTO holders SELECT 'nobody' WHERE NEW.record ->> '$.job' = 'deferred';
    END`)
  for (const job of ['abort', 'fail', 'rollback', 'error', 'deferred']) {
    for (const write of [() => people.create({ ...ada, job }), () => people.createAll([ada, { ...ada, job }])]) {
      const before = (await people.list({ where: null, sort: [], limit: 1000, after: null })).items.length
      const results = await Promise.allSettled([people.create(ada), people.create(ada), write(), people.create(ada), people.createAll([ada, ada])])
      t.same(results.map(({ status }) => status), ['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'], job)
      t.equal((await people.list({ where: null, sort: [], limit: 1000, after: null })).items.length, before + 5)
    }
  }
})

t.test('a group of large writes is committed in parts, and each is answered', async t => {
  const app = await build(t, { resource: loose, repository: sqlite(sqliteOptions(t)) })
  const people = app.changeStreams.people as unknown as { create (body: unknown): Promise<{ id: string }>, log: { position: number } }
  const sizes: number[] = []
  app.changeStreams.people.on('committed', entries => sizes.push(entries.length))
  await Promise.all(Array.from({ length: 12 }, async () => await people.create({ any: 'x'.repeat(700_000) })))
  t.same(sizes, [3, 3, 3, 3])
})

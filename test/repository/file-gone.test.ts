import { copyFileSync, mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync } from 'node:fs'
import t, { type Test } from 'tap'
import { sqlite } from '../../repository/sqlite.ts'
import { ada, build, driver, grace, listen, request, sqliteOptions, until } from '../helper.ts'
import type { ChangeStreamError } from '../../protocol/errors.ts'
import { Person } from '../../plugin/options.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'

const resource = new Resource({ name: 'people', noun: 'person', schema: Person })

async function open (t: Test, file: string, pollInterval = 5) {
  const failures: ChangeStreamError[] = []
  const people = new Repository(resource, await sqlite({ ...driver(), file, pollInterval })(resource), error => failures.push(error as ChangeStreamError))
  t.teardown(() => people.close())
  return { people, failures }
}

const ways: Readonly<Record<string, (file: string) => void>> = {
  removed: file => unlinkSync(file),
  'removed with what stands beside it': file => { for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true }) },
  'moved away': file => renameSync(file, `${file}.away`),
  'replaced by a copy': file => {
    copyFileSync(file, `${file}.copy`)
    renameSync(`${file}.copy`, file)
  },
  'replaced by a directory': file => {
    unlinkSync(file)
    mkdirSync(file)
  },
  'one that a link no longer leads to': file => {
    renameSync(file, `${file}.away`)
    copyFileSync(`${file}.away`, `${file}.copy`)
    symlinkSync(`${file}.copy`, file)
  }
}

for (const [way, lose] of Object.entries(ways)) {
  t.test(`a write to a file that was ${way} is not answered as kept`, async t => {
    const { file } = sqliteOptions(t)
    const { people, failures } = await open(t, file)
    const { id } = await people.create(ada)
    const told: string[] = []
    people.on('change', change => told.push(change.id))
    lose(file)
    const unavailable = { code: 'unavailable', statusCode: 503, message: /database file .*test\.db was removed, or another/ }
    await t.rejects(Promise.all([people.create(grace), people.create(grace)]), unavailable)
    await t.rejects(people.create(grace), unavailable)
    await t.rejects(people.patch(id, { age: 1 }), unavailable)
    await t.rejects(people.get(id), unavailable)
    await t.rejects(people.list({ where: null, sort: [], limit: 1, after: null }), unavailable)
    await t.rejects(people.log.changes(0, 10), unavailable)
    await t.rejects(people.log.snapshot(null).next(), unavailable)
    await t.rejects(people.log.refresh(), unavailable)
    t.same(told, [], 'nobody is told of it')
    t.match(failures, [{ code: 'unavailable', message: /test\.db/ }], 'it is logged once')
    t.equal(failures.length, 1)
  })
}

t.test('a server that nobody writes to finds out by itself', async t => {
  const { file } = sqliteOptions(t)
  const { people, failures } = await open(t, file)
  renameSync(file, `${file}.away`)
  await until(() => failures.length === 1, 'the look at the file')
  await t.rejects(people.get('a'), { code: 'unavailable' })
})

t.test('when the same file is back, all goes on, and what had reached it is told', async t => {
  const { file } = sqliteOptions(t)
  const { people, failures } = await open(t, file, 60_000)
  await people.create(ada)
  const told: number[] = []
  people.on('change', change => told.push(change.position))
  for (let round = 1; round <= 2; round++) {
    renameSync(file, `${file}.away`)
    await t.rejects(people.create(grace), { code: 'unavailable' })
    await t.rejects(people.create(grace), { code: 'unavailable' })
    t.equal(failures.length, round, 'logged once each time')
    renameSync(`${file}.away`, file)
    t.match(await people.create(ada), { cursor: new RegExp(`\\.${1 + 2 * round}$`) })
  }
  t.same(told, [2, 3, 4, 5])
})

t.test('another file is opened by a restart alone', async t => {
  const { file } = sqliteOptions(t)
  const { people } = await open(t, file)
  await people.create(ada)
  for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix)
  const second = await open(t, file)
  await second.people.create(grace)
  await t.rejects(people.create(grace), { code: 'unavailable' })
  t.equal((await second.people.log.changes(0, 10)).head, 1)
})

t.test('a process that changes its directory has not lost its file', async t => {
  const directory = t.testdir()
  const former = process.cwd()
  process.chdir(directory)
  t.teardown(() => process.chdir(former))
  const { people } = await open(t, 'test.db')
  process.chdir(former)
  t.ok(await people.create(ada))
})

t.test('over HTTP, writes and reads are 503 then', async t => {
  const options = sqliteOptions(t)
  const app = await build(t, { repository: sqlite(options) })
  const url = await listen(app)
  const { headers } = await request(`${url}/people`, 'POST', ada)
  unlinkSync(options.file)
  const location = headers.get('location') ?? ''
  const answers = await Promise.all([
    request(`${url}/people`, 'POST', grace),
    request(`${url}/people`, 'POST', grace)
  ])
  for (const [method, path, body] of [['GET', location], ['GET', '/people'], ['DELETE', location], ['PUT', location, grace]] as const) {
    answers.push(await request(new URL(path, url).href, method, body))
  }
  t.same(answers.map(({ status }) => status), answers.map(() => 503))
})

import { existsSync, readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import { Person } from '../../plugin/options.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { Inbox, type Person as PersonRecord, ada, connect, driver, request, until } from '../helper.ts'
import { address, start } from './server.ts'

/** Writes without end until the server is gone; tells which were answered. */
function writing (url: string): { readonly answered: Set<string>, ended: Promise<unknown> } {
  const answered = new Set<string>()
  const write = async (): Promise<void> => {
    for (let age = 0; ; age++) {
      const { status, body } = await request<PersonRecord>(`${url}/people`, 'POST', { ...ada, age })
      if (status === 201) answered.add(body.id)
      else if (status !== 503) throw new Error(`answered with ${status}`)
    }
  }
  return { answered, ended: Promise.allSettled(Array.from({ length: 8 }, write)) }
}

async function open (t: Test, file: string): Promise<Repository<typeof Person>> {
  const resource = new Resource({ name: 'people', noun: 'person', schema: Person })
  return new Repository(resource, await sqlite({ ...driver(), file })(resource), error => t.error(error))
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  t.test(`${signal} while sockets are open and writes are under way: readers are told, what was answered is kept, the file is left alone`, async t => {
    const cwd = t.testdir()
    const run = start(t, ['--port', '0', '--database', 'people.db', '--log-level', 'warn'], {}, cwd)
    const url = await address(run)
    const text = await connect(t, `${url}/updates`)
    const json = await connect(t, `${url}/updates`, 'change-stream.v1')
    const { answered, ended } = writing(url)
    await until(() => answered.size > 50, 'the first writes')
    run.child.kill(signal)
    t.same(await text.closed(), { code: 1001, reason: (await json.closed()).reason })
    t.equal((await json.closed()).code, 1001)
    const last = JSON.parse(json.left().at(-1) ?? '') as { type: string, retryAfter: number, cursor: string }
    t.match(last, { type: 'bye', retryAfter: Number, cursor: String })
    const { code, stderr } = await run.ended()
    t.equal(code, 0)
    t.equal(stderr, '')
    t.notMatch(run.stdout(), /"level":[456]0/, 'nothing went wrong')
    await ended
    t.same(readdirSync(cwd), ['people.db'], 'nothing is left beside the file')

    const people = await open(t, `${cwd}/people.db`)
    for (const id of answered) if (await people.get(id) === null) t.fail(`${id} was answered and is lost`)
    const position = Number(last.cursor.split('.').at(-1))
    t.ok(position <= people.log.position && position >= 50, 'the cursor in bye is one of the log')
    await people.close()
  })
}

t.test('a server that was stopped serves its file again at once, and a reader goes on from where it was', async t => {
  const cwd = t.testdir()
  const args = ['--port', '0', '--database', 'people.db', '--log-level', 'silent']
  const first = start(t, args, {}, cwd)
  const url = await address(first)
  const reader = await connect(t, `${url}/updates`, 'change-stream.v1')
  t.equal((await reader.nextJson())['type'], 'ready')
  t.equal((await reader.nextJson())['type'], 'synced')
  await request(`${url}/people`, 'POST', ada)
  const { cursor } = await reader.nextJson<{ cursor: string }>()
  first.child.kill('SIGTERM')
  await first.ended()

  const again = await address(start(t, args, {}, cwd))
  const { body } = await request<PersonRecord>(`${again}/people`, 'POST', { ...ada, age: 37 })
  const resumed = await connect(t, `${again}/updates?since=${cursor}`, 'change-stream.v1')
  t.match(await resumed.nextJson(), { type: 'ready', cursor })
  const { changes } = await resumed.nextJson<{ changes: { id: string }[] }>()
  t.same(changes.map(({ id }) => id), [body.id])
})

t.test('a signal that comes twice, as under npm, ends it no less gracefully', async t => {
  const cwd = t.testdir()
  const run = start(t, ['--port', '0', '--log-level', 'silent'], {}, cwd)
  const url = await address(run)
  const socket = await new Inbox(`${url}/updates`).open()
  run.child.kill('SIGINT')
  run.child.kill('SIGINT')
  t.equal((await socket.closed()).code, 1001)
  run.child.kill('SIGINT')
  run.child.kill('SIGTERM')
  t.equal((await run.ended()).code, 0)
  t.notOk(existsSync(`${cwd}/people.db-wal`))
})

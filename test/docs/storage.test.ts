import { execFile } from 'node:child_process'
import { existsSync, renameSync, rmSync } from 'node:fs'
import { promisify } from 'node:util'
import t from 'tap'
import { subprotocol } from '../../protocol/index.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { type Inbox, ada, build, connect, listen, request, sqliteOptions } from '../helper.ts'
import { blocksOf } from './pages.ts'

const run = promisify(execFile)
const hasShell = await run('sqlite3', ['--version']).then(({ stdout }) => !/^3\.([0-2]?\d|3[0-7])\./.test(stdout), () => false)
const commands = blocksOf('docs/storage.md').flatMap(({ text }) => text.split('\n')).filter(line => line.startsWith('sqlite3'))

t.test('what docs/storage.md does with the shell of SQLite does what it says', { skip: !hasShell && 'needs sqlite3, 3.38 or newer' }, async t => {
  const [insert = '', update = '', backup = ''] = commands
  t.equal(commands.length, 3)
  const cwd = t.testdir()
  const options = sqliteOptions(t, { file: `${cwd}/people.db` })
  const shell = async (command: string): Promise<unknown> => await run('sh', ['-c', command], { cwd })
  const ready = async (inbox: Inbox): Promise<unknown> => [await inbox.next(), await inbox.next()]
  const app = await build(t, { repository: sqlite(options) })
  const inbox = await connect(t, `${await listen(app)}/updates`, subprotocol)
  await ready(inbox)

  await shell(insert)
  t.match(await inbox.next(), '"position":1')
  await shell(update)
  t.match(await inbox.nextJson(), { changes: [{ op: 'save', position: 2, record: { lastName: 'Lovelace', age: 37 } }] })
  await t.rejects(shell(insert.replace('\'{\\"id\\":\\"01', '\'{\\"id\\":\\"02')), { message: /CHECK/ }, 'the id in the record must be the row\'s')

  await shell(backup)
  const { people } = app.changeStreams
  const kept = people.log.cursor(people.log.position)
  const lost = (await people.create(ada)).cursor
  await app.close()
  t.notOk(existsSync(`${options.file}-wal`))
  rmSync(options.file)
  renameSync(`${cwd}/backup.db`, options.file)
  const restored = await build(t, { repository: sqlite(options) })
  const origin = await listen(restored)
  await restored.changeStreams.people.create(ada)
  t.equal((await request(`${origin}/updates?since=${kept}`)).status, 200)
  t.equal((await request(`${origin}/updates?since=${lost}`)).status, 410)
})

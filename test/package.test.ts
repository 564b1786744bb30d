import { spawn } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import t, { type Test } from 'tap'
import { address, follow } from './bin/server.ts'
import { emptyFolder, install, outcome, output, pack, plainEnv, remove, root } from './consumer.ts'
import { connect } from './helper.ts'

t.setTimeout(300_000)
const folder = emptyFolder()
t.teardown(() => remove(folder))
const version = (name: string): string => (JSON.parse(readFileSync(`${root}/node_modules/${name}/package.json`, 'utf8')) as { version: string }).version
const { copy, tarball } = await pack(folder)
const peers = ['fastify', '@sinclair/typebox', '@types/node'].map(name => `${name}@${version(name)}`)
const app = await install(folder, 'app', [tarball, ...peers])
const installed = `${app}/node_modules/fastify-change-stream`
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const hasNodeSqlite = isBuiltin('node:sqlite') && (major > 22 || minor >= 13)

function write (name: string, text: string): string {
  writeFileSync(`${app}/${name}`, text)
  return name
}

t.test('the tarball holds the compiled form of every source, what one reads first, and nothing else', async t => {
  const rooms = ['bin', 'plugin', 'protocol', 'repository', 'routes', 'stream']
  const sources = rooms.flatMap(room => readdirSync(`${copy}/${room}`, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts')).map(name => `${room}/${name.slice(0, -3)}`))
  const files = (await output(folder, 'tar', 'tzf', tarball)).trim().split('\n').map(name => name.replace('package/', ''))
  t.same(files.sort(), [
    'CHANGELOG.md', 'LICENSE', 'PROTOCOL.md', 'README.md', 'package.json',
    ...sources.flatMap(name => [`dist/${name}.js`, `dist/${name}.d.ts`])
  ].sort())
  for (const file of files.filter(name => /\.(js|d\.ts)$/.test(name))) t.notMatch(readFileSync(`${installed}/${file}`, 'utf8'), /(from |import\()['"]\.[^'"]*\.ts['"]/, file)
})

t.test('publint and arethetypeswrong have nothing to say', async t => {
  t.match(await outcome(copy, process.execPath, 'node_modules/publint/src/cli.js', 'run', tarball, '--strict'), { code: 0, text: 'All good!' })
  t.match(await outcome(copy, process.execPath, 'node_modules/@arethetypeswrong/cli/dist/index.js', tarball, '--profile', 'esm-only'), { code: 0 })
})

const use = `
  const app = Fastify()
  await app.register(changeStream, { repository: memory() })
  const { json } = await app.changeStreams.people.create({ firstName: 'Ada', lastName: 'Lovelace', age: 36, job: 'mathematician' })
  const { body } = await app.inject('/people')
  if (body !== '[' + json + ']' || subprotocol !== 'change-stream.v1' || typeof sqlite !== 'function') throw new Error(body)
  await app.close()
  console.log('well')
`

t.test('it is imported, and works in memory without a database driver', async t => {
  const file = write('import.js', `
    import Fastify from 'fastify'
    import changeStream, { memory } from 'fastify-change-stream'
    import { subprotocol } from 'fastify-change-stream/protocol'
    import { sqlite } from 'fastify-change-stream/sqlite'
    ${use}`)
  t.equal(await output(app, process.execPath, file), 'well\n')
})

t.test('it is required', async t => {
  const file = write('require.cjs', `
    const Fastify = require('fastify')
    const { default: changeStream, memory } = require('fastify-change-stream')
    const { subprotocol } = require('fastify-change-stream/protocol')
    const { sqlite } = require('fastify-change-stream/sqlite')
    async function main () { ${use} }
    main()`)
  t.equal(await output(app, process.execPath, file), 'well\n')
})

t.test('without a driver sqlite() says what to install; node:sqlite is used where Node has it', async t => {
  const file = write('sqlite.js', `
    import Fastify from 'fastify'
    import changeStream from 'fastify-change-stream'
    import { sqlite } from 'fastify-change-stream/sqlite'
    const app = Fastify()
    await app.register(changeStream, { repository: sqlite({ file: 'people.db' }) })
    await app.close()
    console.log('well')`)
  const bare = await outcome(app, process.execPath, ...hasNodeSqlite ? ['--no-experimental-sqlite'] : [], file)
  t.equal(bare.code, 1)
  t.match(bare.text, 'TypeError: sqlite() needs Node 22.13 or newer, or the package better-sqlite3: npm install better-sqlite3@12')
  t.notOk(existsSync(`${app}/people.db`))
  const plain = await outcome(app, process.execPath, file)
  t.match(plain, hasNodeSqlite ? { code: 0, text: 'well' } : { code: 1, text: 'npm install better-sqlite3@12' })
})

t.test('types flow from a schema to its repository and its changes, and wrong use is an error', async t => {
  const file = write('types.ts', `
    import Fastify from 'fastify'
    import { Type } from '@sinclair/typebox'
    import changeStream, { ChangeStreamError, memory, type Change, type ChangeStreamOptions, type Page } from 'fastify-change-stream'
    import { type ServerMessage, parseCursor } from 'fastify-change-stream/protocol'
    import { sqlite } from 'fastify-change-stream/sqlite'

    const Order = Type.Object({ item: Type.String(), count: Type.Integer(), note: Type.Optional(Type.String()) }, { additionalProperties: false })
    declare module 'fastify-change-stream' {
      interface ChangeStreams { orders: typeof Order }
    }

    const app = Fastify()
    const options: ChangeStreamOptions = { resource: { name: 'orders', noun: 'order', schema: Order }, repository: sqlite({ file: 'orders.db', synchronous: 'normal' }) }
    await app.register(changeStream, options)
    await app.register(changeStream, { repository: memory({ retention: { count: 10 } }), updatesPath: '/people/updates' })
    const saved = await app.changeStreams.orders.create({ item: 'tea', count: 2 })
    const count: number = saved.record.count
    const note: string | undefined = saved.record.note
    const id: string = saved.record.id
    const person = await app.changeStreams.people.get(id)
    const age: number | undefined = person?.record.age
    app.changeStreams.orders.on('change', change => {
      if (change.op === 'save') { const item: string = change.record.item; console.log(item) } else { const id: string = change.id; console.log(id) }
    })
    const message = (told: ServerMessage): string => told.type
    export { age, count, note, message, parseCursor, ChangeStreamError, type Change, type Page }

    // @ts-expect-error a property is missing
    await app.changeStreams.orders.create({ item: 'tea' })
    // @ts-expect-error a property is of another type
    await app.changeStreams.orders.create({ item: 'tea', count: '2' })
    // @ts-expect-error there is no such property
    await app.changeStreams.orders.create({ item: 'tea', count: 2, price: 1 })
    // @ts-expect-error a record has no such property
    console.log(saved.record.price)
    // @ts-expect-error there is no such event
    app.changeStreams.orders.on('changed', () => {})
    // @ts-expect-error a deleted record is not there
    app.changeStreams.orders.on('change', change => change.record.item)
    // @ts-expect-error there is no such resource
    console.log(app.changeStreams.invoices)
    // @ts-expect-error there is no such option
    await app.register(changeStream, { updates: '/x' })
    // @ts-expect-error a path is a string
    await app.register(changeStream, { path: 1 })
    // @ts-expect-error sqlite needs a file
    sqlite({})
    // @ts-expect-error there is no such driver
    sqlite({ file: 'x.db', driver: 'sqlite3' })
  `)
  const strict = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--target', 'es2023', '--types', 'node']
  for (const resolution of [['--module', 'nodenext', '--skipLibCheck', 'false'], ['--module', 'esnext', '--moduleResolution', 'bundler', '--skipLibCheck']]) {
    t.same(await outcome(app, process.execPath, `${root}/node_modules/typescript/bin/tsc`, ...strict, ...resolution, file), { code: 0, text: '' }, resolution.join(' '))
  }
})

t.test('the installed command prints its help, and three lines that work when they are pasted into a shell', async t => {
  t.match(await output(app, 'npx', '--no', 'fastify-change-stream', '--', '--help'), 'Usage: fastify-change-stream')
  const run = follow(t, spawn('node_modules/.bin/fastify-change-stream', ['--port', '0', '--database', ':memory:'], { cwd: app, env: plainEnv }))
  await address(run)
  const [, watch = '', write = '', read = ''] = await run.printed(/^ {2}(node .*)\n {2}(curl .*)\n {2}(cat .*)\n/m)

  const watcher = spawn('sh', ['-c', watch], { cwd: app, env: plainEnv, detached: true })
  const seen = follow(t, watcher, 'group')
  const first = seen.printed(/^.*\n/)
  let saved = ''
  while (seen.stdout() === '') saved = (await outcome(app, 'sh', '-c', write)).text // until the watcher is there
  const [line] = await first
  t.match(saved, /"id":"[0-9a-f-]{36}","firstName":"Ada","lastName":"Lovelace","age":36,"job":"mathematician"}/)
  t.match(line, /^Saved person \[[0-9a-f-]{36}\] {"id":"[0-9a-f-]{36}","firstName":"Ada","lastName":"Lovelace","age":36,"job":"mathematician"}\n$/)
  t.equal((await outcome(app, 'sh', '-c', read)).text, readFileSync(`${copy}/README.md`, 'utf8'))
})

async function npmStart (t: Test, signal: (pid: number) => void): Promise<void> {
  const child = spawn('npm', ['start', '--silent', '--', '--port', '0', '--database', ':memory:', '--log-level', 'silent'], { cwd: copy, env: plainEnv, detached: true })
  const run = follow(t, child, 'group')
  const url = await address(run)
  const reader = await connect(t, `${url}/updates`, 'change-stream.v1')
  signal(child.pid ?? 0)
  t.equal((await reader.closed()).code, 1001)
  t.match(JSON.parse(reader.left().at(-1) ?? ''), { type: 'bye' })
  t.equal((await run.ended()).code, 0)
  await t.rejects(fetch(url), 'nothing listens any more')
}

t.test('npm start ends gracefully when npm is sent a signal', async t => {
  await npmStart(t, pid => process.kill(pid, 'SIGTERM'))
})

t.test('npm start ends gracefully at a terminal\'s Ctrl-C, which every process hears', async t => {
  await npmStart(t, pid => process.kill(-pid, 'SIGINT'))
})

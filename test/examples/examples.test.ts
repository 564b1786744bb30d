import { type ChildProcess, execFile } from 'node:child_process'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { memory } from '../../plugin/index.ts'
import { type Person, ada, build, connect, grace, listen, refusedUpgrade, request } from '../helper.ts'
import { eventually, example, following, freePort, root, start, tsx } from './follower.ts'

const run = promisify(execFile)

t.test('the examples fit the published types, under strict and with every library checked', { timeout: 120_000 }, async t => {
  const { stdout } = await run('npx', ['tsc', '-p', 'examples'], { cwd: root }).catch((error: { stdout: string }) => error)
  t.equal(stdout, '')
})

/** Runs an example that listens until the test ends, or is killed. */
async function serve (t: Test, name: string, port: number, cwd = t.testdir()): Promise<{ child: ChildProcess, lines: string[] }> {
  const started = start(t, [example(name)], { cwd, env: { PORT: String(port) } })
  await eventually(async () => await fetch(`http://127.0.0.1:${port}`).then(() => true, () => false))
  return started
}

t.test('server.ts adds people on SQLite to an app, and is followed by client.ts and events.ts through a restart', { timeout: 60_000 }, async t => {
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const cwd = t.testdir()
  const first = await serve(t, 'server.ts', port, cwd)
  t.same((await request(origin)).body, { hello: 'world' })
  const { body: one } = await request<Person>(`${origin}/people`, 'POST', ada)
  await eventually(() => first.lines.some(line => line.includes('a person has changed') && line.includes(one.id)))
  const followers = ['client.ts', 'events.ts'].map(name => following(t, name, name === 'client.ts' ? `ws://127.0.0.1:${port}/updates` : `${origin}/updates`))
  for (const { follows } of followers) await follows(origin)
  const { body: two } = await request<Person>(`${origin}/people`, 'POST', grace)
  await request(`${origin}/people/${one.id}`, 'PATCH', { age: 37 })
  for (const { follows } of followers) await follows(origin)

  first.child.kill('SIGTERM')
  const [code] = await once(first.child, 'exit') as [number]
  t.equal(code, 0)
  await serve(t, 'server.ts', port, cwd)
  await request(`${origin}/people/${one.id}`, 'DELETE')
  await request(`${origin}/people/${two.id}`, 'PATCH', { age: 80 })
  for (const { follows } of followers) await follows(origin)
})

t.test('client.ts starts again where its cursor is of a log that is gone', { timeout: 60_000 }, async t => {
  const app = await build(t)
  const origin = await listen(app)
  await app.changeStreams.people.create(ada)
  const { follows } = following(t, 'client.ts', `${origin.replace('http', 'ws')}/updates`)
  await follows(origin)
  const { port } = new URL(origin)
  await app.close()
  const other = await build(t)
  await other.changeStreams.people.create(grace)
  await other.listen({ port: Number(port), host: '127.0.0.1' })
  await follows(origin)
})

t.test('client.ts and events.ts hold what the server has after their connections were cut at any moment under writes', { timeout: 60_000 }, async t => {
  const app = await build(t, { repository: memory({ retention: { count: 200 } }) }) // so little that some come back too late
  const { people } = app.changeStreams
  const saved = await people.createAll(Array.from({ length: 2000 }, (_, age) => ({ ...ada, age })))
  const streams: IncomingMessage[] = []
  const cut = (request: IncomingMessage): void => { if (streams.push(request) <= 6) setTimeout(() => request.socket.destroy(), Math.random() * 60) }
  app.server.on('request', cut).on('upgrade', cut) // undici waits for ever where a connection is cut before it has sent its request
  const origin = await listen(app)
  const followers = [following(t, 'client.ts', `${origin.replace('http', 'ws')}/updates`), following(t, 'events.ts', `${origin}/updates`)]
  for (let age = 0; streams.length <= 6; age++) {
    const { id = '' } = saved[Math.floor(Math.random() * 1000)] ?? {}
    await (age % 10 > 0 || await people.get(id) === null ? people.create({ ...grace, age }) : people.delete(id))
    await delay(1)
  }
  const all = []
  for (const { record } of (await people.list({ where: null, sort: [], limit: 100_000, after: null })).items) all.push(record)
  for (const { holds } of followers) await holds(all)
  t.ok(all.length > 2000)
})

t.test('auth.ts lets nobody at REST or the stream without the token', { timeout: 60_000 }, async t => {
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  await serve(t, 'auth.ts', port)
  t.equal((await request(`${origin}/people`)).status, 401)
  t.equal((await request(`${origin}/updates`)).status, 401)
  t.equal((await refusedUpgrade(`${origin}/updates`)).status, 401)
  t.equal((await request(`${origin}/people`, 'GET', undefined, { authorization: 'Bearer secret' })).status, 200)
  const inbox = await connect(t, `${origin}/updates`, undefined, { headers: { cookie: 'token=secret' } })
  await request(`${origin}/people`, 'POST', ada, { authorization: 'Bearer secret' })
  t.match(await inbox.next(), /^Saved person/)
})

t.test('orders.ts writes two resources and hears of it', { timeout: 60_000 }, async t => {
  const { stdout } = await run(process.execPath, [tsx, example('orders.ts')], { cwd: root })
  t.equal(stdout, 'Ada has paid 9.5\n')
})

t.test('feed.sh prints each change once, however often it is run', async t => {
  const app = await build(t)
  const origin = await listen(app)
  const { people } = app.changeStreams
  const cwd = t.testdir()
  const feed = async (): Promise<string[]> => {
    const { stdout } = await run('sh', [example('feed.sh'), `${origin}/updates`], { cwd, maxBuffer: 2 ** 24 })
    return stdout.trim().split('\n').flatMap(line => (JSON.parse(line) as { changes: { id: string }[] }).changes.map(change => change.id))
  }
  const saved = await people.createAll(Array.from({ length: 1500 }, () => ({ ...ada, job: '"more":false} \\n' })))
  t.same(await feed(), saved.map(({ id }) => id))
  t.same(await feed(), [])
  const one = await people.create(grace)
  t.same(await feed(), [one.id])
})

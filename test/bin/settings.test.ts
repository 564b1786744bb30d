import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { readSettings } from '../../bin/settings.ts'
import { request } from '../helper.ts'
import { address, start } from './server.ts'

/** A port that is taken until the test ends. */
async function takenPort (t: Test): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

t.jobs = 2

t.test('--help and -h print every setting and serve nothing', async t => {
  for (const flag of ['--help', '-h']) {
    const { code, stdout, stderr } = await start(t, [flag, '--port', '0']).ended()
    t.equal(code, 0)
    t.equal(stderr, '')
    for (const word of ['--port', 'PORT', '3000', '--host', 'HOST', '127.0.0.1', '--database', 'DATABASE', 'people.db', '--log-level', 'LOG_LEVEL', 'info', '--close-grace', 'CLOSE_GRACE', '2000', '--help']) t.ok(stdout.includes(word), word)
    t.notMatch(stdout, /People at/)
  }
})

t.test('every setting has a default, a flag and a variable, and the flag goes before the variable', t => {
  const defaults = { port: 3000, host: '127.0.0.1', database: 'people.db', logLevel: 'info', closeGrace: 2000 }
  t.same(readSettings([], {}), defaults)
  for (const [name, flag, variable, value, other] of [
    ['port', '--port', 'PORT', 8080, 9090],
    ['host', '--host', 'HOST', '::1', '0.0.0.0'],
    ['database', '--database', 'DATABASE', 'a.db', ':memory:'],
    ['logLevel', '--log-level', 'LOG_LEVEL', 'debug', 'silent'],
    ['closeGrace', '--close-grace', 'CLOSE_GRACE', 500, 0]
  ] as const) {
    t.same(readSettings([flag, String(value)], {}), { ...defaults, [name]: value }, flag)
    t.same(readSettings([], { [variable]: String(value) }), { ...defaults, [name]: value }, variable)
    t.same(readSettings([`${flag}=${value}`], { [variable]: String(other) }), { ...defaults, [name]: value }, `${flag} before ${variable}`)
    t.same(readSettings([], { [variable]: '' }), defaults, `an empty ${variable} is none`)
  }
  t.equal(readSettings(['--help'], { PORT: 'bad' }), null)
  t.end()
})

t.test('flags say where the server listens, what it keeps and what it logs', async t => {
  const port = await freePort()
  const cwd = t.testdir()
  const run = start(t, ['--port', String(port), '--host', '127.0.0.2', '--database', 'mine.db', '--log-level', 'silent'], { PORT: '1', HOST: 'nowhere.invalid', DATABASE: 'other.db', LOG_LEVEL: 'trace' }, cwd)
  t.equal(await address(run), `http://127.0.0.2:${port}`)
  t.equal((await request(`http://127.0.0.2:${port}/people`)).status, 200)
  t.ok(existsSync(`${cwd}/mine.db`))
  t.notOk(existsSync(`${cwd}/other.db`))
  t.match(run.stdout(), /kept in mine\.db/)
  t.notMatch(run.stdout(), /"level":/)
})

t.test('variables say the same', async t => {
  const port = await freePort()
  const cwd = t.testdir()
  const run = start(t, [], { PORT: String(port), HOST: '127.0.0.3', DATABASE: 'mine.db', LOG_LEVEL: 'debug' }, cwd)
  t.equal(await address(run), `http://127.0.0.3:${port}`)
  t.ok(existsSync(`${cwd}/mine.db`))
  t.ok(await run.printed(/"level":30/))
})

t.test(':memory: leaves no file', async t => {
  const cwd = t.testdir()
  const run = start(t, ['--port', '0', '--database', ':memory:'], {}, cwd)
  const url = await address(run)
  t.match(run.stdout(), /kept in memory/)
  t.equal((await request(`${url}/people`, 'POST', { firstName: 'Ada', lastName: 'Lovelace', age: 36, job: 'mathematician' })).status, 201)
  run.child.kill('SIGTERM')
  t.equal((await run.ended()).code, 0)
  t.same(readdirSync(cwd), [])
})

const levels = /must be one of fatal, error, warn, info, debug, trace, silent/

t.test('what is bad is named, and nothing is served', t => {
  const bad: [string[], Record<string, string>, ...RegExp[]][] = [
    [['--port', 'http'], {}, /--port/, /integer/, /"http"/],
    [['--port', '-1'], {}, /--port/],
    [['--port', '3000.5'], {}, /--port/, /"3000\.5"/],
    [['--port', '65536'], {}, /--port/, /65535/, /"65536"/],
    [['--port', ''], {}, /--port/, /""/],
    [['--port=-1'], {}, /--port/, />= 0/],
    [['--port'], {}, /--port/],
    [['--host', ''], {}, /--host/, /""/],
    [['--database', ''], {}, /--database/, /""/],
    [['--log-level', 'loud'], {}, /--log-level/, levels, /"loud"/],
    [['--log-level', ''], {}, /--log-level/, levels],
    [['--colour', 'red'], {}, /--colour/],
    [['people.db'], {}, /people\.db/],
    [['--help=no'], {}, /--help/],
    [['--close-grace', '2s'], {}, /--close-grace/, /integer/, /"2s"/],
    [['--close-grace', '10001'], {}, /--close-grace/, /10000/],
    [[], { PORT: 'http' }, /^PORT/, /integer/, /"http"/],
    [[], { PORT: '-1' }, /^PORT/, />= 0/],
    [[], { PORT: ' ' }, /^PORT/],
    [[], { PORT: 'true' }, /^PORT/],
    [[], { PORT: '1e3' }, /^PORT/],
    [[], { PORT: '0x10' }, /^PORT/],
    [[], { LOG_LEVEL: 'INFO' }, /^LOG_LEVEL/, levels, /"INFO"/]
  ]
  for (const [args, env, ...patterns] of bad) {
    const title = JSON.stringify([args, env])
    let message: string | undefined
    try {
      readSettings(args, env)
    } catch (error) {
      if (error instanceof TypeError) ({ message } = error)
    }
    if (message === undefined) t.fail(`${title} is not refused`)
    else for (const pattern of patterns) t.match(message, pattern, title)
  }
  t.end()
})

t.test('a refusal is one line to stderr and exit code 1', async t => {
  const port = await takenPort(t)
  const runs: [string[], Record<string, string>, RegExp][] = [
    [['--port', 'http'], {}, /^--port must be integer, not "http"\n$/],
    [[], { LOG_LEVEL: 'loud' }, /^LOG_LEVEL must be one of fatal, .*, silent, not "loud"\n$/],
    [['--colour', 'red'], {}, /^[^\n]*--colour[^\n]*\n$/],
    [['--port', String(port)], {}, new RegExp(`^[^\n]*address already in use 127.0.0.1:${port}\n$`)],
    [['--host', '192.0.2.1'], {}, /^[^\n]*192\.0\.2\.1[^\n]*\n$/]
  ]
  for (const [args, env, message] of runs) {
    const { code, stdout, stderr } = await start(t, args, { PORT: '0', LOG_LEVEL: 'silent', DATABASE: ':memory:', ...env }).ended()
    t.equal(code, 1, stderr)
    t.equal(stdout, '')
    t.match(stderr, message)
  }
})

t.test('a database that can not be used is named with its fault, and exit code 1', async t => {
  const cwd = t.testdir()
  writeFileSync(`${cwd}/text.db`, 'no database, and long enough to be read as one\n'.repeat(100))
  for (const [database, fault] of [
    ['text.db', /text\.db.*damaged or no SQLite database/],
    ['missing/people.db', /missing\/people\.db/],
    ['/proc/people.db', /\/proc\/people\.db/] // a folder in which nobody can make a file, root neither
  ] as const) {
    const { code, stdout, stderr } = await start(t, ['--port', '0', '--log-level', 'silent', '--database', database], {}, cwd).ended()
    t.equal(code, 1, database)
    t.equal(stdout, '')
    t.match(stderr, fault)
    t.match(stderr, /^sqlite: can't use [^\n]*\n$/, 'one line')
  }
  t.same(readdirSync(cwd), ['text.db'], 'nothing is left behind')
})

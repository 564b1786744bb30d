import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { connect as connectTo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { read } from '../docs/pages.ts'
import { freePort } from '../examples/follower.ts'

export interface Proxy {
  /** In the clear. */
  readonly origin: string
  /** With TLS, by a certificate that nobody has signed; HTTP/2 for those who can. */
  readonly secure: string
}

export interface ProxyKind {
  readonly name: string
  /** Why it can't be tested here. */
  readonly missing: string | false
  /**
   * Runs it with the recipe in `examples/` until the test ends.
   * @param upstreams the servers' origins, in the place of those of the recipe
   * @param edit what else is other than in the recipe: pairs of what it says and what it is to say
   */
  readonly start: (t: Test, upstreams: readonly string[], edit?: readonly (readonly [string, string])[]) => Promise<Proxy>
}

const has = (command: string, flag: string): boolean => spawnSync(command, [flag]).status === 0
const hasOpenssl = has('openssl', 'version')
const missing = (command: string, flag: string): string | false => has(command, flag) && hasOpenssl ? false : `needs ${command} and openssl: apt-get install ${command} openssl`

export const nginx: ProxyKind = { name: 'nginx', missing: missing('nginx', '-v'), start: startNginx }
export const caddy: ProxyKind = { name: 'Caddy', missing: missing('caddy', 'version'), start: startCaddy }

async function startNginx (t: Test, upstreams: readonly string[], edit: readonly (readonly [string, string])[] = []): Promise<Proxy> {
  const dir = folder(t)
  const [port, tlsPort] = [await freePort(), await freePort()]
  const { certificate, key } = makeCertificate(dir)
  const recipe = edited(read('examples/nginx.conf'), [
    ...edit,
    ['  server 127.0.0.1:3000 max_fails=0;\n  server 127.0.0.1:3001 max_fails=0;\n', upstreams.map(origin => `  server ${new URL(origin).host} max_fails=0;\n`).join('')],
    ['listen 80;', `listen 127.0.0.1:${port};`],
    ['listen 443 ssl http2;', `listen 127.0.0.1:${tlsPort} ssl http2;`],
    ['/etc/ssl/people.pem', certificate],
    ['/etc/ssl/people.key', key]
  ])
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${dir}/${name};`).join('\n')
  writeFileSync(`${dir}/nginx.conf`, `daemon off;\nmaster_process off;\npid ${dir}/pid;\nerror_log stderr error;\nevents {}\nhttp {\naccess_log off;\n${temporary}\n${recipe}\n}\n`)
  await run(t, 'nginx', ['-p', dir, '-e', 'stderr', '-c', `${dir}/nginx.conf`], [port, tlsPort], dir)
  return { origin: `http://127.0.0.1:${port}`, secure: `https://localhost:${tlsPort}` }
}

async function startCaddy (t: Test, upstreams: readonly string[], edit: readonly (readonly [string, string])[] = []): Promise<Proxy> {
  const dir = folder(t)
  const [port, tlsPort] = [await freePort(), await freePort()]
  const { certificate, key } = makeCertificate(dir)
  const recipe = edited(read('examples/Caddyfile'), [
    ...edit,
    ['127.0.0.1:3000 127.0.0.1:3001', upstreams.map(origin => new URL(origin).host).join(' ')]
  ])
  const site = (address: string, tls = ''): string => recipe.replace('people.example.com {', `${address} {${tls}`)
  const options = `{\n\tadmin off\n\tauto_https off\n\tstorage file_system ${dir}/storage\n}\n`
  const sites = site(`http://127.0.0.1:${port}`) + site(`https://localhost:${tlsPort}`, `\n\ttls ${certificate} ${key}`)
  writeFileSync(`${dir}/Caddyfile`, options + sites)
  await run(t, 'caddy', ['run', '--config', `${dir}/Caddyfile`, '--adapter', 'caddyfile'], [port, tlsPort], dir)
  return { origin: `http://127.0.0.1:${port}`, secure: `https://localhost:${tlsPort}` }
}

/** A recipe with passages replaced; each must be there. */
function edited (recipe: string, edits: readonly (readonly [string, string])[]): string {
  return edits.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`the recipe does not say ${from}`)
    return text.replace(from, () => to)
  }, recipe)
}

/** A folder that goes with the test, and is not `t.testdir()`: that one is the databases'. */
function folder (t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'proxy-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

function makeCertificate (dir: string): { certificate: string, key: string } {
  const [certificate, key] = [`${dir}/people.pem`, `${dir}/people.key`]
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', certificate]
  const { status, stderr } = spawnSync('openssl', args)
  if (status !== 0) throw new Error(stderr.toString())
  return { certificate, key }
}

/** Runs a command until the test ends; resolves when it listens. */
async function run (t: Test, command: string, args: readonly string[], ports: readonly number[], dir: string): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir } })
  let stderr = ''
  child.stderr.on('data', chunk => { stderr += chunk })
  const closed = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await closed
  })
  for (const port of ports) {
    while (!await listens(port)) if (child.exitCode !== null) throw new Error(stderr)
  }
}

async function listens (port: number): Promise<boolean> {
  const socket = connectTo(port, '127.0.0.1')
  const listening = await once(socket, 'connect').then(() => true, () => false)
  socket.destroy()
  return listening || await new Promise(resolve => setTimeout(resolve, 10, false))
}

/** An HTTP/2 connection to a proxy, closed with the test. */
export async function http2 (t: Test, { secure }: Proxy): Promise<ClientHttp2Session> {
  const session = connectHttp2(secure, { rejectUnauthorized: false })
  t.teardown(() => session.destroy())
  await once(session, 'connect')
  return session
}

import type { Random } from '../model/random.ts'
import { mutated } from './input.ts'
import { cursor, escaped, listQuery, streamQuery } from './queries.ts'
import { type Fuzzed, ids } from './resources.ts'
import { anything, broken, deepText, spelled, text } from './values.ts'

export interface Request {
  readonly bytes: Buffer
  readonly method: string
}

/** Which request of a resource it is, and the epoch of its log. */
interface About { readonly resource: Fuzzed, readonly epoch: string }

const oddMethods = ['HEAD', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'M-SEARCH', 'QUERY', 'LINK', 'SEARCH', 'PURGE', 'REPORT', 'get', 'Get', 'G ET', '', 'NONSENSE', 'PRI'] as const
const bodyLimit = 1_048_576

/** The target of a request: mostly a record, a list or a stream; the form mostly the origin's. */
export function target (random: Random, { resource, epoch }: About, kind: 'record' | 'list' | 'stream'): string {
  const path = kind === 'list'
    ? resource.path + listQuery(random, resource, epoch)
    : kind === 'stream' ? resource.updates + streamQuery(random, resource, epoch) : `${resource.path}/${id(random)}${random.chance(0.05) ? '?x=1' : ''}`
  if (random.chance(0.95)) return path
  return random.pick<() => string>([
    () => `http://x${path}`,
    () => `https://user:secret@[::1]:99999${path}`,
    () => '*',
    () => `/${path}`,
    () => path.replace('/', '//'),
    () => path.replace(/\/(\w)/, (_, letter: string) => `/%${letter.charCodeAt(0).toString(16)}`),
    () => path.toUpperCase(),
    () => `${path}/`,
    () => `/./x/..${path}`,
    () => path.replace('?', '%3F'),
    () => `${path}#x`,
    () => random.pick(['', '/', '//', '/%', '/%00', 'x', 'http://', '/ключ', `/${'x'.repeat(9000)}`, resource.path.slice(1), '/updates/schema', '/updates/ticket', '/updates/await', '/updates/explain'])
  ])()
}

function id (random: Random): string {
  if (random.chance(0.75)) return random.pick(ids)
  return random.pick<() => string>([
    () => random.uuid(),
    () => random.pick(ids).toUpperCase(),
    () => escaped(random, text(random)) || '%20',
    () => `${random.pick(ids)}${random.pick([' ', '%20', '%00', '%0d%0a', '/', '/x', ';', '.json'])}`,
    () => random.pick(['..', '%2e%2e', '%2F', '%', '%zz', 'x'.repeat(100), 'x'.repeat(101), 'x'.repeat(5000), '%F0%9F%98%80', 'updates', 'schema'])
  ])()
}

/** A body for a write, as it goes over the wire. */
export function body (random: Random, resource: Fuzzed, method: string): Buffer {
  const dice = random.next()
  if (dice < 0.45) return Buffer.from(spelled(random, fitting(random, resource, method)))
  if (dice < 0.65) return Buffer.from(spelled(random, altered(random, resource.record(random))))
  if (dice < 0.75) return Buffer.from(spelled(random, anything(random)))
  if (dice < 0.85) return Buffer.from(broken(random, resource.record(random)))
  if (dice < 0.93) return deep(random, resource)
  if (dice < 0.96) return Buffer.from(many(random, resource))
  if (dice < 0.97) return large(random, resource)
  return random.pick<() => Buffer>([
    () => Buffer.alloc(0),
    () => Buffer.from([0xff, 0xfe, 0x7b, 0x00]),
    () => Buffer.from('{"n":1,"s":"\xc3\x28"}', 'latin1'),
    () => Buffer.from(' '.repeat(random.pick([1, 1000, 100_000])))
  ])()
}

function fitting (random: Random, resource: Fuzzed, method: string): unknown {
  const record = resource.record(random)
  if (method === 'PATCH') return Object.fromEntries(Object.entries(record).filter(() => random.chance(0.5)).map(([name, value]) => [name, random.chance(0.1) ? null : value]))
  return method === 'POST' && random.chance(0.2) ? Array.from({ length: random.pick([1, 2, 5, 50]) }, () => resource.record(random)) : record
}

function altered (random: Random, record: Record<string, unknown>): unknown {
  const names = Object.keys(record)
  const name = random.pick([...names, ...names, 'id', 'nothing', '', 'toString', 'hasOwnProperty', 'valueOf'])
  if (random.chance(0.2)) return [record, { ...record, [name]: anything(random) }]
  if (random.chance(0.2)) return Object.fromEntries(Object.entries(record).filter(([key]) => key !== name))
  return { ...record, [name]: name === 'id' ? random.pick<unknown>([...ids, text(random), 1, null]) : anything(random) }
}

/** Deep as a whole, or in one of the places of a record. */
function deep (random: Random, resource: Fuzzed): Buffer {
  const text = deepText(random)
  if (random.chance(0.3)) return Buffer.from(text)
  const mark = '"the deep"'
  const record = { ...resource.record(random), [random.pick(['any', 'u', 'map', 'list', 'tree', 'a', 'job', 'n', 'id', '__proto__'])]: 'the deep' }
  const json = JSON.stringify(random.chance(0.2) ? [record, resource.record(random)] : record)
  return Buffer.from(json.replace(mark, () => text))
}

/** Many elements, members or errors. */
function many (random: Random, resource: Fuzzed): string {
  const count = random.pick([999, 1000, 1001, 5000])
  return random.pick<() => string>([
    () => `[${Array.from({ length: count }, () => '{}').join()}]`,
    () => JSON.stringify(Array.from({ length: Math.min(count, 1001) }, () => resource.record(random))),
    () => JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, index]))),
    () => JSON.stringify({ ...resource.record(random), tags: Array.from({ length: count }, () => 1) }),
    () => `[${'[],'.repeat(count)}[]]`
  ])()
}

/** Around the limit of a body. */
function large (random: Random, resource: Fuzzed): Buffer {
  const record = resource.record(random)
  const name = random.pick(['job', 's', 'any', 'kind', 'lastName'])
  const size = random.pick([100_000, 500_000, bodyLimit - 200, bodyLimit - 1, bodyLimit, bodyLimit + 1, bodyLimit + 100_000])
  const around = Buffer.from(JSON.stringify({ ...record, [name]: '' }))
  const at = around.indexOf(`"${name}":""`) + name.length + 4
  return Buffer.concat([around.subarray(0, at), Buffer.alloc(Math.max(0, size - around.length), random.pick(['x', '7', ' '])), around.subarray(at)])
}

type Header = readonly [name: string, value: string]

const tags = ['*', '"x"', 'W/"x"', '"a",, "b"', '', '"', '""', '"a" "b"', '*, "a"', `"${'x'.repeat(7000)}"`, '"a",'.repeat(1500), '"\xe9"', 'x', ',', '"a", *']
const accepts = ['*/*', 'application/json', 'text/event-stream', 'Text/Event-Stream', 'text/*', 'application/*;q=0.1', 'text/event-stream;q=0', 'application/json-seq', 'text/html', '', ',', ';', 'a/b;q=x', '*/*;q=0', 'x'.repeat(5000)]
const types = ['application/json', 'application/merge-patch+json', 'Application/Merge-Patch+JSON', 'application/json; charset=utf-8', 'application/json;charset=latin1', 'text/plain', 'application/json-patch+json', '', ';', 'application/json;', 'multipart/form-data; boundary=x', 'x', 'application/jsonx']

function headers (random: Random, { epoch }: About, method: string): Header[] {
  const found: Header[] = []
  const add = (chance: number, name: string, value: () => string): void => { if (random.chance(chance)) found.push([random.chance(0.05) ? name.toUpperCase() : name, value()]) }
  const writes = method === 'PUT' || method === 'PATCH' || method === 'DELETE'
  add(writes ? 0.15 : 0.03, 'If-Match', () => random.chance(0.3) ? `"${cursor(random, epoch)}"` : random.pick(tags))
  add(writes ? 0.2 : 0.1, 'If-None-Match', () => random.chance(0.5) ? '*' : random.pick(tags))
  add(0.3, 'Accept', () => random.pick(accepts))
  add(0.05, 'Last-Event-ID', () => cursor(random, epoch))
  add(0.05, 'Idempotency-Key', () => random.pick(['"a"', 'a', '"b"', '', `"${'x'.repeat(500)}"`, '"']))
  add(0.05, 'Prefer', () => random.pick(['count=exact', 'COUNT=exact', 'count', ',', 'respond-async, count=exact', '']))
  add(0.03, 'Origin', () => random.pick(['http://x', 'null', '', 'x']))
  add(0.02, 'Expect', () => random.pick(['100-continue', '100-Continue', 'x', '']))
  add(0.02, 'Connection', () => random.pick(['close', 'keep-alive', 'Upgrade', 'TE, close', '']))
  add(0.02, 'Range', () => 'bytes=0-1')
  add(0.02, random.pick(['__proto__', 'X-Forwarded-Host', 'Content-Encoding', 'Cookie', 'Authorization', 'If-Modified-Since', 'If-Range', 'TE', 'Via', 'X-HTTP-Method-Override']), () => text(random))
  if (random.chance(0.005)) for (let index = 0; index < random.pick([50, 300, 2100]); index++) found.push([`x-${index}`, '1'])
  return found
}

/** A field value as a client can send it: printable, or bytes above ASCII. */
function field (value: string): string {
  return value.replace(/[^\t\x20-\x7e\x80-\xff]/g, '')
}

/** The head of a request; `raw` headers may say what they like. */
export function head (method: string, at: string, fields: readonly Header[], { version = '1.1', host = 'localhost' }: { version?: string, host?: string | null } = {}): Buffer {
  const lines = [`${method} ${at} HTTP/${version}`, ...host === null ? [] : [`Host: ${host}`], ...fields.map(([name, value]) => `${name}: ${field(value)}`), '', '']
  return Buffer.from(lines.join('\r\n'), 'latin1')
}

/** A request that HTTP allows, with its body in a framing that fits. What it asks for may be odd. */
export function wholeRequest (random: Random, about: About): Request {
  const method = random.pick(['GET', 'GET', 'GET', 'POST', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'])
  const kind = method === 'POST' ? 'list' : method === 'GET' ? random.pick(['list', 'list', 'record', 'stream'] as const) : method === 'HEAD' ? random.pick(['list', 'record'] as const) : 'record'
  const fields = headers(random, about, method).filter(([name]) => !/^(expect|connection)$/i.test(name))
  if (kind === 'stream') fields.push(['Accept', 'application/json'])
  const sends = method === 'POST' || method === 'PUT' || method === 'PATCH' || random.chance(0.02)
  const at = plain(method === 'POST' && random.chance(0.9) ? about.resource.path : target(random, about, kind))
  if (!sends) return { method, bytes: head(method, at, fields) }
  const bytes = body(random, about.resource, method)
  fields.push(['Content-Type', random.chance(0.9) ? method === 'PATCH' && random.chance(0.5) ? 'application/merge-patch+json' : 'application/json' : random.pick(types)])
  if (random.chance(0.85)) return { method, bytes: Buffer.concat([head(method, at, [...fields, ['Content-Length', String(bytes.length)]]), bytes]) }
  return { method, bytes: Buffer.concat([head(method, at, [...fields, ['Transfer-Encoding', 'chunked']]), chunked(random, bytes)]) }
}

/** A target of the origin form that a request line can hold: no spaces, nothing above ASCII. */
function plain (at: string): string {
  const held = at.replace(/[^\x21-\x7e]/g, '_').slice(0, 12_000)
  return held.startsWith('/') ? held : `/${held}`
}

function chunked (random: Random, bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const part = bytes.subarray(at, at + random.between(1, Math.max(1, Math.ceil(bytes.length / 3))))
    parts.push(Buffer.from(`${part.length.toString(16)}${random.chance(0.1) ? ';x=y' : ''}\r\n`), part, Buffer.from('\r\n'))
    at += part.length
  }
  return Buffer.concat([...parts, Buffer.from(random.chance(0.1) ? '0\r\nTrailer: x\r\n\r\n' : '0\r\n\r\n')])
}

/** A request that may be against HTTP: methods, targets, versions, framings, halves, bytes. */
export function anyRequest (random: Random, about: About): Request {
  const method = random.chance(0.5) ? random.pick(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) : random.pick(oddMethods)
  const bytes = random.chance(0.5) ? body(random, about.resource, method) : Buffer.alloc(0)
  const fields = headers(random, about, method)
  if (bytes.length > 0) fields.push(['Content-Type', random.pick(types)])
  const length = String(bytes.length)
  const framing = random.pick<() => Header[]>([
    () => bytes.length > 0 ? [['Content-Length', length]] : [],
    () => [['Content-Length', length]],
    () => [['Content-Length', random.pick(['-1', '+5', '1e3', '0x10', '9'.repeat(25), '', ' 5', '5, 5', String(bytes.length + 7), String(Math.max(0, bytes.length - 3))])]],
    () => [['Content-Length', length], ['Content-Length', random.pick([length, '3'])]],
    () => [['Content-Length', length], ['Transfer-Encoding', 'chunked']],
    () => [['Transfer-Encoding', random.pick(['chunked, chunked', 'gzip, chunked', 'identity', 'chunked;x', 'x', 'Chunked', ''])]],
    () => [['Transfer-Encoding', 'chunked']]
  ])()
  const kind = random.pick(['list', 'record', 'stream'] as const)
  const start = head(method, target(random, about, kind), [...fields, ...framing], { version: random.chance(0.9) ? '1.1' : random.pick(['1.0', '0.9', '2.0', '1.2', '1', '']), host: random.chance(0.95) ? 'localhost' : random.pick([null, '', 'a b', '[::1', 'x'.repeat(5000), 'localhost\r\nHost: other']) })
  const whole = Buffer.concat([start, framing.some(([, value]) => value === 'chunked') && random.chance(0.7) ? chunked(random, bytes) : bytes])
  const sent = random.chance(0.3) ? mutated(random, whole) : whole
  return { method, bytes: random.chance(0.2) ? sent.subarray(0, random.below(sent.length + 1)) : sent }
}

import { connect } from 'node:net'
import { Type } from '@sinclair/typebox'
import { Ajv2019 } from 'ajv/dist/2019.js'
import t from 'tap'
import { routeSchemas } from '../../routes/schemas.ts'
import { type Person, ada, build, listen, request } from '../helper.ts'

interface Problem { type: string, title: string, status: number, detail: string, errors?: { path: string, message: string }[] }
interface RawAnswer { readonly status: number, readonly headers: string, readonly body: string }

/** One request as these bytes, and the answer as the bytes that came. */
async function raw (url: string, method: string, path: string, headers: readonly string[] = [], body = ''): Promise<RawAnswer> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.end([`${method} ${path} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...headers, '', body].join('\r\n'), 'latin1')
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  const [head = '', rest = ''] = text.split('\r\n\r\n', 2)
  return { status: Number(head.slice(9, 12)), headers: head.toLowerCase(), body: rest }
}

t.test('a 304 and a HEAD tell of the same answer as GET does', async t => {
  const url = await listen(await build(t))
  const created = await request<Person>(`${url}/people`, 'POST', ada)
  const path = `/people/${created.body.id}`
  const tag = created.headers.get('etag') ?? ''
  const got = await raw(url, 'GET', path)
  const head = await raw(url, 'HEAD', path)
  t.equal(head.status, 200)
  t.equal(head.body, '')
  const length = new RegExp(`content-length: ${JSON.stringify(created.body).length}\r`)
  t.match(got.headers, length)
  t.match(head.headers, length)
  t.match(head.headers, `etag: ${tag.toLowerCase()}`)
  for (const method of ['GET', 'HEAD']) {
    const { status, headers, body } = await raw(url, method, path, [`If-None-Match: ${tag}`])
    t.equal(status, 304)
    t.equal(body, '')
    t.match(headers, `etag: ${tag.toLowerCase()}`)
    t.notMatch(headers, /content-length|transfer-encoding|content-type/, method)
    const absent = await raw(url, method, '/people/nobody')
    t.equal(absent.status, 404)
    t.match(absent.headers, 'application/problem+json')
    t.equal(absent.body === '', method === 'HEAD')
  }
  t.equal((await raw(url, 'HEAD', '/people')).status, 200)
})

t.test('an app without HEAD routes gets none', async t => {
  const url = await listen(await build(t, {}, { exposeHeadRoutes: false }))
  t.equal((await raw(url, 'HEAD', '/people/nobody')).status, 404)
  t.notMatch((await raw(url, 'HEAD', '/people/nobody')).headers, 'problem')
})

t.test('preconditions hold on GET and HEAD in the order of RFC 9110, 13.2.2', async t => {
  const url = await listen(await build(t))
  const { body: { id }, headers } = await request<Person>(`${url}/people`, 'POST', ada)
  const tag = headers.get('etag') ?? ''
  for (const method of ['GET', 'HEAD']) {
    for (const [ifMatch, ifNoneMatch, status] of [
      [tag, undefined, 200], ['*', undefined, 200], ['"other"', undefined, 412], [`W/${tag}`, undefined, 412], ['', undefined, 412], [',', undefined, 412],
      [`"a",, ,${tag}`, undefined, 200], [`,${tag},`, undefined, 200],
      ['"other"', tag, 412], [tag, tag, 304], [undefined, `W/${tag}`, 304], [undefined, `"a",, ${tag}`, 304], [undefined, '*', 304], [undefined, '', 200], [undefined, ' , ', 200],
      ['bad', undefined, 400], [undefined, 'bad', 400], [undefined, '"a" "b"', 400], [undefined, '"a",*', 400], [undefined, '"a', 400], [undefined, 'w/"a"', 400]
    ] as const) {
      const lines = [...(ifMatch === undefined ? [] : [`If-Match: ${ifMatch}`]), ...(ifNoneMatch === undefined ? [] : [`If-None-Match: ${ifNoneMatch}`])]
      t.equal((await raw(url, method, `/people/${id}`, lines)).status, status, `${method} ${lines.join('; ')}`)
    }
    t.equal((await raw(url, method, `/people/${id}`, ['If-None-Match: ', `If-None-Match: ${tag}`])).status, 304, 'lines of one header are one list')
    t.equal((await raw(url, method, '/people/nobody', ['If-Match: *'])).status, 404)
  }
  t.equal((await raw(url, 'GET', `/people/${id}`, [`If-None-Match: ${'"a",'.repeat(3000)}${tag}`])).status, 304)
  const long = await raw(url, 'GET', `/people/${id}`, [`If-Match: ${'x'.repeat(10_000)}`])
  t.equal(long.status, 400)
  t.ok(long.body.length < 500)
  t.equal((await request(`${url}/people/${id}`, 'PUT', ada, { 'if-none-match': '' })).status, 200, 'an empty list forbids nothing')
  t.equal((await request(`${url}/people`, 'GET', undefined, { 'if-match': 'bad' })).status, 200, 'a list has no tag to match')
})

t.test('types of bodies are compared whole, without case, and UTF-8 is the only charset', async t => {
  const url = await listen(await build(t))
  const { body: { id } } = await request<Person>(`${url}/people`, 'POST', ada)
  const mergePatch = 'application/merge-patch+json'
  for (const [type, isJson, isPatch] of [
    ['application/json', true, true], ['Application/JSON', true, true], ['application/json; charset=UTF-8', true, true], ['application/json;charset="utf-8"', true, true], ['application/json ; Charset=utf8', true, true],
    ['application/json;', true, true], ['application/json; version=1', true, true], ['application/json; a="; charset=latin1"', true, true], ['application/json; a="\\""; charset=utf-8', true, true],
    [mergePatch, false, true], ['Application/Merge-Patch+JSON', false, true], ['APPLICATION/MERGE-PATCH+JSON; charset=utf-8', false, true],
    ['application/json; charset=iso-8859-1', false, false], ['application/json; charset=utf-16', false, false], ['application/json; CHARSET="UTF-16"', false, false], ['application/json; a=b; charset=latin1', false, false],
    [`${mergePatch}; charset=utf-16`, false, false], ['application/json-seq', false, false], ['application/jsonx', false, false], ['application/json+x', false, false], ['xapplication/json', false, false],
    ['application/json-patch+json', false, false], ['application/merge-patch+json-x', false, false], ['text/json', false, false], ['text/plain', false, false], ['application/*', false, false], ['*/*', false, false],
    ['application', false, false], ['application/json; charset', false, false], ['application/json, text/plain', false, false], ['text/plain; a=application/json', false, false]
  ] as const) {
    for (const [method, path, good] of [['POST', '/people', isJson], ['PUT', `/people/${id}`, isJson], ['PATCH', `/people/${id}`, isPatch]] as const) {
      const { status, headers, text } = await request(`${url}${path}`, method, JSON.stringify(ada), { 'content-type': type })
      t.equal(status, good ? method === 'POST' ? 201 : 200 : 415, `${method} ${type}`)
      if (good) continue
      const problem = JSON.parse(text) as Problem
      t.equal(problem.type, 'urn:problem:change-stream:unsupported-media-type')
      t.match(problem.detail, 'application/json', 'what is taken')
      t.equal(headers.get('accept-patch'), method === 'PATCH' ? 'application/merge-patch+json, application/json' : null)
      t.equal(problem.detail.startsWith(`PATCH takes ${mergePatch} and`), method === 'PATCH')
    }
  }
  const bare = await raw(url, 'POST', '/people', ['Content-Length: 2'], '{}')
  t.equal(bare.status, 415)
  t.match(bare.body, 'application/json')
})

t.test('a body that can not be read is told the true reason', async t => {
  const url = await listen(await build(t))
  const { body: { id } } = await request<Person>(`${url}/people`, 'POST', ada)
  const levels = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
  for (const [method, path, body, headers, status, detail] of [
    ['POST', '/people', '{"firstName":', {}, 400, /^the body is not JSON that can be read: /],
    ['POST', '/people', levels(5000), {}, 400, /deeper than 100 levels/],
    ['PATCH', `/people/${id}`, levels(101), {}, 400, /deeper than 100 levels/],
    ['PATCH', `/people/${id}`, levels(100), {}, 400, /^\/a is not a known property$/],
    ['POST', '/people', `[${'['.repeat(1000)}${']'.repeat(1000)}]`, {}, 400, /deeper than 100 levels/],
    ['PATCH', `/people/${id}`, '{"__proto__":{"age":1}}', {}, 400, /^\/__proto__ is not a known property$/],
    ['PATCH', `/people/${id}`, '{"__proto__":{"age":1}}', { 'content-type': 'application/merge-patch+json' }, 400, /^\/__proto__ is not a known property$/],
    ['POST', '/people', '{"constructor":{"prototype":1}}', {}, 400, /is not a known property|is required/],
    ['POST', '/people', '\x1f\x8b', { 'content-encoding': 'gzip' }, 415, /Content-Encoding/],
    ['PUT', `/people/${id}`, '', {}, 400, /^the body must be object$/]
  ] as const) {
    const answer = await request<Problem>(`${url}${path}`, method, body, headers)
    t.equal(answer.status, status, `${method} ${body.slice(0, 30)}`)
    t.match(answer.body.detail, detail)
    t.ok(answer.text.length < 2000)
  }
  t.equal((await request(`${url}/people`, 'POST', `\ufeff${JSON.stringify(ada)}`)).status, 201, 'a byte order mark is no part of JSON (RFC 8259, 8.1)')
  t.equal((await request(`${url}/people`, 'POST', JSON.stringify(ada), { 'content-encoding': 'identity' })).status, 201)
})

t.test('a bad batch is told as much as one bad body', async t => {
  const url = await listen(await build(t))
  for (const body of [
    JSON.stringify(Array.from({ length: 1000 }, () => ({}))),
    JSON.stringify(Object.fromEntries(Array.from({ length: 20 }, (_, index) => [String.fromCharCode(97 + index).repeat(50_000), 1]))),
    JSON.stringify(Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [index, 1])))
  ]) {
    const answer = await request<Problem>(`${url}/people`, 'POST', body)
    t.equal(answer.status, 400)
    t.ok((answer.body.errors?.length ?? 0) <= 20 && answer.text.length < 10_000, `${answer.text.length}`)
  }
})

t.test('odd ids are answered with a problem, or by the app where its router knows no such address', async t => {
  const url = await listen(await build(t, {}, { routerOptions: { maxParamLength: 20_000 } }))
  for (const id of ['%00', 'a%00b', '%ED%A0%80', '%', '%zz', '%ff', '..', '%2e%2e', 'a%2Fb', '%2F', '%5C', '%0d%0aX:1', '"', "'", '%27%3B--', '%F0%9F%98%80', 'é', '\u0130', 'x'.repeat(10_000), '%61'.repeat(3000), ' ', '%20', '__proto__', 'constructor', 'null', '0', '*', '?', '#', ':id', '::']) {
    for (const [method, body] of [['GET', ''], ['HEAD', ''], ['PUT', JSON.stringify(ada)], ['PATCH', '{}'], ['DELETE', '']] as const) {
      const encoded = Buffer.from(`/people/${id}`).toString('latin1').replaceAll(' ', '%20')
      const { status, headers, body: text } = await raw(url, method, encoded, [...(body && ['Content-Type: application/json', `Content-Length: ${body.length}`])], body)
      t.ok(status === 404 || status === 400, `${method} ${id.slice(0, 30)}: ${status}`)
      if (status === 404 && headers.includes('problem')) t.ok(text.length < 1000)
      const created = await raw(url, 'PUT', encoded, ['If-None-Match: *', 'Content-Type: application/json', `Content-Length: ${JSON.stringify(ada).length}`], JSON.stringify(ada))
      t.ok(created.status === 404 || created.status === 400, `${id.slice(0, 30)}: ${created.status}`)
      t.ok(created.body.length < 1000)
    }
  }
  t.same((await request(`${url}/people`)).body, [])
})

t.test('a schema that refers to itself can be registered, and its routes documented', async t => {
  const Node = Type.Recursive(This => Type.Object({ label: Type.String(), next: Type.Optional(This) }))
  const app = await build(t, { resource: { name: 'nodes', noun: 'node', schema: Node } })
  const url = await listen(app)
  const { status, body } = await request<{ id: string }>(`${url}/nodes`, 'POST', { label: 'a', next: { label: 'b' } })
  t.equal(status, 201)
  t.same((await request(`${url}/nodes/${body.id}`)).body, { id: body.id, label: 'a', next: { label: 'b' } })
  t.equal((await request(`${url}/nodes`, 'POST', { label: 'a', next: { label: 'b', z: 1 } })).status, 400)
  const documented = routeSchemas(app.changeStreams['nodes' as 'people'].resource)
  const validate = new Ajv2019({ strict: false, formats: { uuid: true } }).compile(documented.create['body'] as object)
  t.ok(validate({ label: 'a', next: { label: 'b' } }))
  t.ok(validate([{ label: 'a' }]))
  t.notOk(validate([{ label: 'a', next: { z: 1 } }]))
})

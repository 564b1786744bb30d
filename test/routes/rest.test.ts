import t from 'tap'
import { Type } from '@sinclair/typebox'
import { type Person, ada, build, grace, listen, request, stores } from '../helper.ts'

interface Problem { type: string, title: string, status: number, detail: string, errors?: { path: string, message: string }[] }

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const absent = '01a204d7-4d29-7119-9c28-9c5307d11442'

for (const [name, store] of Object.entries(stores)) {
  t.test(`REST over ${name}`, async t => {
    const people = async (t: Tap, options = {}): Promise<string> => `${await listen(await build(t, { repository: store(t), ...options }))}/people`
    type Tap = Parameters<typeof build>[0]

    t.test('POST creates a record under a new id', async t => {
      const url = await people(t)
      const { status, headers, body } = await request<Person>(url, 'POST', ada)
      t.equal(status, 201)
      t.match(body.id, uuid)
      t.same(body, { id: body.id, ...ada })
      t.same(Object.keys(body), ['id', 'firstName', 'lastName', 'age', 'job'])
      t.equal(headers.get('location'), `/people/${body.id}`)
      t.equal(headers.get('content-type'), 'application/json; charset=utf-8')
      t.match(headers.get('etag'), /^"[\w.-]+"$/)
      t.match(headers.get('change-cursor'), /^[\w.-]+$/)
      const found = await request<Person>(new URL(headers.get('location') ?? '', url).href)
      t.same(found.body, body)
    })

    t.test('POST with an array creates all in order, in one transaction', async t => {
      const url = await people(t)
      const { status, headers, body } = await request<Person[]>(url, 'POST', [ada, grace])
      t.equal(status, 201)
      t.same(body.map(({ id, ...rest }) => rest), [ada, grace])
      t.equal(headers.get('change-cursor'), (await request(url)).headers.get('change-cursor'))
      t.same((await request(url)).body, body)
    })

    t.test('POST with an array of which one is bad creates none, and says which', async t => {
      const url = await people(t)
      const { status, body } = await request<Problem>(url, 'POST', [ada, { ...grace, age: -1 }, { ...ada, job: '' }])
      t.equal(status, 400)
      t.same(body.errors?.map(error => error.path), ['/1/age', '/2/job'])
      t.same((await request(url)).body, [])
    })

    t.test('POST refuses an empty batch and one that is too large', async t => {
      const url = await people(t, { maxBatch: 2 })
      t.equal((await request(url, 'POST', [])).status, 400)
      const { status, body } = await request<Problem>(url, 'POST', [ada, ada, ada])
      t.equal(status, 413)
      t.match(body.detail, /at most 2/)
      t.same((await request(url)).body, [])
    })

    t.test('POST refuses an id, in a batch too', async t => {
      const url = await people(t)
      t.same((await request<Problem>(url, 'POST', { id: absent, ...ada })).body.errors, [{ path: '/id', message: 'is given by the server' }])
      t.same((await request<Problem>(url, 'POST', [ada, { id: absent, ...ada }])).body.errors, [{ path: '/1/id', message: 'is given by the server' }])
    })

    t.test('GET answers with the record, its ETag, and 304 to who knows it', async t => {
      const url = await people(t)
      const created = await request<Person>(url, 'POST', ada)
      const address = `${url}/${created.body.id}`
      const found = await request(address)
      t.equal(found.status, 200)
      t.equal(found.headers.get('etag'), created.headers.get('etag'))
      const etag = found.headers.get('etag') ?? ''
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const { status, headers, text } = await request(address, 'GET', undefined, { 'if-none-match': known })
        t.equal(status, 304, known)
        t.equal(text, '')
        t.equal(headers.get('etag'), etag)
      }
      t.equal((await request(address, 'GET', undefined, { 'if-none-match': '"other"' })).status, 200)
      t.equal((await request(address.toUpperCase().replace('HTTP', 'http').replace('PEOPLE', 'people'))).status, 200, 'a UUID is the same in upper case (RFC 9562, 4)')
    })

    t.test('GET, PUT, PATCH and DELETE answer 404 for what is not there', async t => {
      const url = await people(t)
      for (const [method, body] of [['GET'], ['PUT', ada], ['PATCH', {}], ['DELETE']] as const) {
        for (const id of [absent, 'nobody']) {
          const answer = await request<Problem>(`${url}/${id}`, method, body)
          t.equal(answer.status, 404, `${method} ${id}`)
          t.match(answer.body.detail, id)
        }
      }
      t.equal((await request(`${url}/${absent}`, 'PUT', ada, { 'if-match': '"x"' })).status, 404, 'a precondition matters only where there is a record (RFC 9110, 13.2.1)')
    })

    t.test('PUT replaces the record', async t => {
      const url = await people(t)
      const created = await request<Person>(url, 'POST', ada)
      const { status, headers, body } = await request<Person>(`${url}/${created.body.id}`, 'PUT', grace)
      t.equal(status, 200)
      t.same(body, { id: created.body.id, ...grace })
      t.not(headers.get('etag'), created.headers.get('etag'))
      t.not(headers.get('change-cursor'), created.headers.get('change-cursor'))
      t.same((await request(`${url}/${created.body.id}`)).body, body)
    })

    t.test('PUT takes the id of the address in the body, and no other', async t => {
      const url = await people(t)
      const { body: { id } } = await request<Person>(url, 'POST', ada)
      t.equal((await request(`${url}/${id}`, 'PUT', { id, ...grace })).status, 200)
      t.equal((await request(`${url}/${id}`, 'PATCH', { id, age: 80 })).status, 200)
      for (const method of ['PUT', 'PATCH']) {
        const { status, body } = await request<Problem>(`${url}/${id}`, method, { ...grace, id: absent })
        t.equal(status, 400)
        t.equal(body.errors?.[0]?.path, '/id')
      }
    })

    t.test('PUT with If-None-Match: * creates the record, once', async t => {
      const url = await people(t)
      const created = await request<Person>(`${url}/${absent}`, 'PUT', ada, { 'if-none-match': '*' })
      t.equal(created.status, 201)
      t.same(created.body, { id: absent, ...ada })
      t.ok(created.headers.get('etag'))
      t.ok(created.headers.get('change-cursor'))
      t.equal((await request(`${url}/${absent}`, 'PUT', grace, { 'if-none-match': '*' })).status, 412)
      t.same((await request(`${url}/${absent}`)).body, created.body)
      const { status, body } = await request<Problem>(`${url}/nobody`, 'PUT', ada, { 'if-none-match': '*' })
      t.equal(status, 400)
      t.equal(body.errors?.[0]?.path, '/id')
    })

    t.test('PATCH merges', async t => {
      const url = await people(t)
      const created = await request<Person>(url, 'POST', ada)
      for (const [type, age] of [['application/merge-patch+json', 37], ['application/json', 38], ['application/merge-patch+json; charset=utf-8', 39]] as const) {
        const { status, headers, body } = await request<Person>(`${url}/${created.body.id}`, 'PATCH', { age }, { 'content-type': type })
        t.equal(status, 200)
        t.same(body, { ...created.body, age })
        t.ok(headers.get('etag'))
        t.ok(headers.get('change-cursor'))
      }
    })

    t.test('PATCH checks the result', async t => {
      const url = await people(t)
      const { body: { id } } = await request<Person>(url, 'POST', ada)
      for (const [patch, path] of [[{ age: 'old' }, '/age'], [{ job: null }, '/job'], [{ nick: 'Ada' }, '/nick'], [[], ''], ['"text"', ''], [{ id: null }, '/id']] as const) {
        const { status, body } = await request<Problem>(`${url}/${id}`, 'PATCH', patch)
        t.equal(status, 400, JSON.stringify(patch))
        t.equal(body.errors?.[0]?.path, path)
      }
      t.same((await request(`${url}/${id}`)).body, { id, ...ada })
    })

    t.test('a PUT or PATCH that changes nothing is no change', async t => {
      const url = await people(t)
      const created = await request<Person>(url, 'POST', ada)
      const address = `${url}/${created.body.id}`
      const { job, ...rest } = ada
      for (const [method, body] of [['PUT', ada], ['PUT', { job, ...rest }], ['PATCH', {}], ['PATCH', { age: 36 }]] as const) {
        const answer = await request(address, method, body)
        t.equal(answer.status, 200)
        t.equal(answer.headers.get('etag'), created.headers.get('etag'))
        t.equal(answer.headers.get('change-cursor'), created.headers.get('change-cursor'))
      }
    })

    t.test('DELETE deletes', async t => {
      const url = await people(t)
      const created = await request<Person>(url, 'POST', ada)
      const { status, headers, text } = await request(`${url}/${created.body.id}`, 'DELETE')
      t.equal(status, 204)
      t.equal(text, '')
      t.not(headers.get('change-cursor'), created.headers.get('change-cursor'))
      t.equal((await request(`${url}/${created.body.id}`)).status, 404)
      t.equal((await request(`${url}/${created.body.id}`, 'DELETE')).status, 404)
    })

    t.test('DELETE takes an empty JSON body, as some clients send it', async t => {
      const url = await people(t)
      const { body: { id } } = await request<Person>(url, 'POST', ada)
      t.equal((await request(`${url}/${id}`, 'DELETE', '')).status, 204)
    })

    t.test('If-Match guards PUT, PATCH and DELETE', async t => {
      const url = await people(t)
      const created = await request<Person>(url, 'POST', ada)
      const address = `${url}/${created.body.id}`
      const first = created.headers.get('etag') ?? ''
      const second = (await request(address, 'PATCH', { age: 37 }, { 'if-match': first })).headers.get('etag') ?? ''
      for (const [method, body] of [['PUT', grace], ['PATCH', { age: 40 }], ['DELETE']] as const) {
        for (const stale of [first, `W/${second}`, '"other"', `${first}, "other"`, '', ' , ,']) {
          const answer = await request<Problem>(address, method, body, { 'if-match': stale })
          t.equal(answer.status, 412, `${method} ${stale}`)
          t.match(answer.headers.get('content-type'), 'application/problem+json')
        }
        for (const bad of ['unquoted', '"open', '*, "a"', '"a" "b"']) t.equal((await request(address, method, body, { 'if-match': bad })).status, 400, `${method} ${bad}`)
      }
      t.same((await request(address)).body, { ...created.body, age: 37 })
      t.equal((await request(address, 'PUT', grace, { 'if-match': `"other" , ${second}` })).status, 200)
      t.equal((await request(address, 'DELETE', undefined, { 'if-match': '*' })).status, 204)
    })

    t.test('an ETag is never given to two states of a record', async t => {
      const url = await people(t)
      const seen = new Set<string | null>()
      const put = async (body: object): Promise<void> => {
        const { headers } = await request(`${url}/${absent}`, 'PUT', body, (await request(`${url}/${absent}`)).status === 404 ? { 'if-none-match': '*' } : {})
        t.notOk(seen.has(headers.get('etag')))
        seen.add(headers.get('etag'))
      }
      await put(ada)
      await put(grace)
      await put(ada)
      await request(`${url}/${absent}`, 'DELETE')
      await put(ada)
    })

    t.test('bodies are checked as sent: nothing is coerced or dropped', async t => {
      const url = await people(t)
      for (const [body, path] of [
        [{ ...ada, age: '36' }, '/age'],
        [{ ...ada, age: 36.5 }, '/age'],
        [{ ...ada, age: -1 }, '/age'],
        [{ ...ada, age: null }, '/age'],
        [{ ...ada, firstName: '' }, '/firstName'],
        [{ ...ada, firstName: 7 }, '/firstName'],
        [{ ...ada, nick: 'x' }, '/nick'],
        [{ firstName: 'Ada', lastName: 'Lovelace', age: 36 }, '/job'],
        [{ ...ada, job: 'a\u0000b' }, '/job'],
        ['{"firstName":"\\ud800","lastName":"L","age":1,"job":"j"}', '/firstName'],
        ['7', ''], ['null', ''], ['"text"', ''], ['', '']
      ] as const) {
        const answer = await request<Problem>(url, 'POST', body)
        t.equal(answer.status, 400, JSON.stringify(body))
        t.equal(answer.body.errors?.[0]?.path, path)
      }
      t.same((await request(url)).body, [])
    })

    t.test('a body that can not be read is refused with its reason', async t => {
      const url = await people(t)
      for (const [status, body, type] of [
        [400, '{"firstName":', 'application/json'],
        [400, new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]), 'application/json'],
        [400, '{"__proto__":{"x":1}}', 'application/json'],
        [415, 'firstName=Ada', 'application/x-www-form-urlencoded'],
        [415, 'Ada', 'text/plain'],
        [415, ada, 'application/merge-patch+json'],
        [413, { ...ada, job: 'x'.repeat(1_100_000) }, 'application/json']
      ] as const) {
        const answer = await request<Problem>(url, 'POST', body, { 'content-type': type })
        t.equal(answer.status, status, `${type} ${status}`)
        t.match(answer.headers.get('content-type'), 'application/problem+json')
        t.match(answer.body, { type: /^urn:problem:change-stream:/, title: /./, status, detail: /./ })
      }
      const { body: { id } } = await request<Person>(url, 'POST', ada)
      t.equal((await request(`${url}/${id}`, 'PATCH', '[]', { 'content-type': 'application/json-patch+json' })).status, 415)
      t.equal((await request(`${url}/${id}`, 'PUT', ada, { 'content-type': 'application/merge-patch+json' })).status, 415)
    })

    t.test('a schema of any shape is kept exactly', async t => {
      const schema = Type.Object({
        title: Type.String({ minLength: 1 }),
        tags: Type.Array(Type.String()),
        at: Type.Optional(Type.Object({ lat: Type.Number(), name: Type.Union([Type.String(), Type.Null()]) })),
        due: Type.Optional(Type.String({ format: 'date' })),
        any: Type.Optional(Type.Unknown())
      })
      const app = await build(t, { repository: store(t), resource: { name: 'notes', noun: 'note', schema } })
      const url = `${await listen(app)}/notes`
      const note = { title: '\u{1f600}\u2028"\\', tags: ['a', 'b'], at: { lat: 0.30000000000000004, name: null }, due: '2026-02-28', any: { deep: [1e21, -0.5, true] } }
      const { body } = await request<{ id: string }>(url, 'POST', note)
      t.same((await request(`${url}/${body.id}`)).body, { id: body.id, ...note })
      t.same((await request(`${url}/${body.id}`, 'PATCH', { at: { lat: 1 }, tags: null })).status, 400)
      t.same((await request<{ at: object }>(`${url}/${body.id}`, 'PATCH', { at: { lat: 1 }, any: null })).body, { id: body.id, title: note.title, tags: note.tags, at: { lat: 1, name: null }, due: note.due })
      for (const [bad, path] of [[{ due: 'tomorrow' }, '/due'], [{ at: { lat: 1, name: 'x', lon: 2 } }, '/at/lon'], [{ tags: [1] }, '/tags/0'], ['{"any":{"deep":[1e400]}}', '/any/deep/0']] as const) {
        const answer = await request<Problem>(`${url}/${body.id}`, 'PATCH', bad)
        t.equal(answer.status, 400)
        t.equal(answer.body.errors?.[0]?.path, path)
      }
    })
  })
}

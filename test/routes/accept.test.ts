import t from 'tap'
import { preferred } from '../../routes/accept.ts'
import { build, listen, request } from '../helper.ts'

const table: readonly (readonly [accept: string | undefined, kind: 'events' | 'json' | null])[] = [
  [undefined, 'json'], ['', 'json'], [' ', 'json'], ['*/*', 'json'], ['*/*;q=0.1', 'json'],
  // types compare whole and without case
  ['application/json', 'json'], ['Application/JSON', 'json'], ['application/*', 'json'], ['APPLICATION/*', 'json'], ['application/json;charset=utf-8', 'json'],
  ['application/json-seq', null], ['application/jsonx', null], ['xapplication/json', null], ['application/json+x', null], ['json', null], ['application', null], ['application/', null],
  ['text/event-stream', 'events'], ['Text/Event-Stream', 'events'], ['text/event-stream; charset=utf-8', 'events'], ['text/*', 'events'], ['TEXT/*', 'events'],
  ['text/event-streams', null], ['text/html', null], ['text/html, image/*', null], ['*/json', null], ['*', null],
  // weights
  ['text/event-stream;q=0', null], ['text/event-stream; q=0.000', null], ['text/event-stream;Q=0', null], ['application/json;q=0', null], ['*/*;q=0', null],
  ['text/event-stream;q=0.001', 'events'], ['text/event-stream ; q=0.5', 'events'], ['text/event-stream;q=1.000', 'events'], ['text/*;q=0.3', 'events'],
  ['text/event-stream;q=0, */*', 'json'], ['text/event-stream;q=0, text/*', null], ['text/*;q=0, text/event-stream', 'events'], ['*/*;q=0, application/json', 'json'],
  ['application/json;q=0, */*', 'events'], ['application/json;q=0, application/*', null], ['application/json;q=0, text/*;q=0.1', 'events'],
  // both
  ['text/event-stream, application/json', 'events'], ['application/json, text/event-stream', 'events'], ['text/event-stream, */*', 'events'], ['*/*, text/event-stream', 'events'],
  ['text/event-stream, */*;q=0.1', 'events'], ['text/event-stream;q=0.1, */*', 'json'], ['text/event-stream;q=0.5, application/json;q=0.9', 'json'],
  ['text/event-stream;q=0.9, application/json;q=0.5', 'events'], ['text/*, application/*', 'events'], ['text/*;q=0.5, application/json', 'json'], ['text/html, text/event-stream;q=0.2, image/png', 'events'],
  // what is none is passed over
  ['text/event-stream;q=2', null], ['text/event-stream;q=x, application/json', 'json'], ['text/event-stream;q=1.0000', null], ['text/event-stream;q=-1', null], [', ,text/event-stream,,', 'events'],
  ['text /event-stream', null], ['a/b;c="text/event-stream, application/json"', null], ['a/b;c="\\", text/event-stream;d=\\"", application/json', 'json'], ['a/b;c="q=0;q=0";q=0.1, text/event-stream', 'events'],
  ['text/event-stream;c=",";q=0', null], ['"', null], ['text/event-stream;c="unclosed, application/json', 'events']
]

t.test('an Accept is read as RFC 9110, 12.5.1 has it', t => {
  for (const [accept, kind] of table) t.equal(preferred(accept), kind, accept ?? 'none')
  t.end()
})

t.test('the stream is sent as the Accept asks, and what nothing can be sent for is refused', async t => {
  const origin = await listen(await build(t))
  for (const [accept, kind] of table) {
    if (accept === undefined) continue // fetch sends one of its own
    const left = new AbortController()
    const { status, headers } = await fetch(`${origin}/updates`, { headers: { accept }, signal: left.signal })
    left.abort()
    t.equal(status, kind === null ? 406 : 200, accept)
    t.match(headers.get('content-type'), { events: 'text/event-stream', json: 'application/json', none: 'application/problem+json' }[kind ?? 'none'], accept)
  }
})

t.test('an empty parameter is refused, whichever it is and whichever way the stream is read', async t => {
  const origin = await listen(await build(t))
  for (const accept of ['application/json', 'text/event-stream']) {
    for (const name of ['since', 'filter', 'where', 'fields', 'snapshot', 'limit', 'wait', 'colour', '']) {
      t.equal((await request(`${origin}/updates?${name}=`, 'GET', undefined, { accept })).status, 400, `${name} as ${accept}`)
    }
    t.equal((await request(`${origin}/updates?since`, 'GET', undefined, { accept })).status, 400)
  }
  const bad = await request(`${origin}/updates?since=`, 'GET', undefined, { accept: 'text/event-stream', 'last-event-id': 'x.1' })
  t.equal(bad.status, 400, 'also where Last-Event-ID would win')
  const none = await fetch(`${origin}/updates`, { headers: { accept: 'text/event-stream', 'last-event-id': '' } })
  t.equal(none.status, 200, 'an empty Last-Event-ID is none')
  await none.body?.cancel()
})

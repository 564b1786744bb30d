import t from 'tap'
import { ChangeStreamError } from '../../protocol/errors.ts'
import { ada, build, listen, request } from '../helper.ts'

interface Problem { type: string, title: string, status: number, detail: string }

const trap = (name: string): Error => Object.defineProperty(new Error('a trap'), name, { get () { throw new Error('gotcha') } })
const withStatus = (statusCode: unknown, message = 'I say no'): Error => Object.assign(new Error(message), { statusCode })

/** What a hook throws, and what the client is told. */
const thrown: readonly (readonly [name: string, value: unknown, status: number, detail: string | RegExp])[] = [
  ['null', null, 500, 'The server failed'],
  ['undefined', undefined, 500, 'The server failed'],
  ['a string', 'no', 500, 'The server failed'],
  ['a number', 404, 500, 'The server failed'],
  ['a symbol', Symbol('x'), 500, 'The server failed'],
  ['an empty object', {}, 500, 'The server failed'],
  ['a function', () => 1, 500, 'The server failed'],
  ['an object without a prototype', Object.create(null), 500, 'The server failed'],
  ['an error', new Error('a secret'), 500, 'The server failed'],
  ...[200, 204, 302, 399, 600, 999, 0, -1, NaN, Infinity, 404.5, '404', null, {}, 1e21].map(status => [`status ${String(status)}`, withStatus(status), 500, 'The server failed'] as const),
  ['status 500', withStatus(500), 500, 'The server failed'],
  ['status 503', withStatus(503), 503, 'Service Unavailable'],
  ['status 599', withStatus(599), 599, 'The server failed'],
  ['status 400', withStatus(400), 400, 'I say no'],
  ['status 402', withStatus(402), 402, 'I say no'],
  ['status 404 as `status`', Object.assign(new Error('I say no'), { status: 404 }), 404, 'I say no'],
  ['status 404 without a message', withStatus(404, ''), 404, 'Not Found'],
  ['status 415 of a hook', withStatus(415), 415, 'I say no'],
  ['status 499', withStatus(499), 499, 'I say no'],
  ['an object with a status', { statusCode: 403, message: 'I say no' }, 403, 'I say no'],
  ['a message that is no text', { statusCode: 403, message: { deep: 1 } }, 403, 'Forbidden'],
  ['a code that is no text', Object.assign(withStatus(400), { code: 7 }), 400, 'I say no'],
  ...['statusCode', 'status', 'code', 'message', 'stack', 'name', 'cause', 'retryAfter'].map(name => [`a getter that throws: ${name}`, trap(name), 500, 'The server failed'] as const),
  ['a proxy that throws', new Proxy({}, { get () { throw new Error('gotcha') } }), 500, 'The server failed'],
  ['an error of ours', new ChangeStreamError('conflict', 'taken'), 409, 'taken']
]

t.test('whatever a hook throws ends in a valid problem, and a 4xx keeps its detail', async t => {
  for (const style of ['async', 'callback'] as const) {
    let next: unknown
    const server = await build(t, {}, { logger: { level: 'trace', stream: { write: () => {} } } })
    if (style === 'async') server.addHook('preHandler', async () => { throw next })
    else server.addHook('preHandler', (_request, _reply, done) => { done(next as Error) })
    const url = await listen(server)
    for (const [name, value, status, detail] of thrown) {
      if (style === 'callback' && (value === null || value === undefined)) continue // no error, to Fastify
      next = value
      for (const [method, path, body] of [['POST', '/people', ada], ['GET', '/people', undefined], ['GET', '/updates', undefined]] as const) {
        const answer = await request<Problem>(`${url}${path}`, method, body)
        t.equal(answer.status, status, `${style}: ${name}, ${method} ${path}`)
        t.match(answer.headers.get('content-type'), 'application/problem+json')
        t.match(answer.body, { type: /./, title: /./, status, detail })
      }
    }
  }
})

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import { type ClientOptions, WebSocket } from 'ws'
import changeStream, { type ChangeStreamOptions, memory } from '../plugin/index.ts'
import { type SqliteOptions, sqlite } from '../repository/sqlite.ts'
import type { OpenStore } from '../repository/store.ts'
import type { Retention } from '../repository/retention.ts'

export const ada = { firstName: 'Ada', lastName: 'Lovelace', age: 36, job: 'mathematician' }
export const grace = { firstName: 'Grace', lastName: 'Hopper', age: 79, job: 'admiral' }

export interface Person { id: string, firstName: string, lastName: string, age: number, job: string }

/** Every store, by name: what is tested with one is tested with all. */
export const stores: Readonly<Record<string, (t: Test, retention?: Partial<Retention>) => OpenStore>> = {
  memory: (_, retention) => memory(retention && { retention }),
  sqlite: (t, retention) => sqlite(sqliteOptions(t, retention && { retention }))
}

/** A test's folder, and how many files it has got. */
const folders = new WeakMap<Test, { readonly path: string, files: number }>()

/** A new database file of the test's own, looked after often, so that nothing in a test waits long. */
export function sqliteOptions (t: Test, more: Partial<SqliteOptions> = {}): SqliteOptions {
  const folder = folders.get(t) ?? { path: t.testdir(), files: 0 }
  folders.set(t, folder)
  return { file: `${folder.path}/test${folder.files++ || ''}.db`, pollInterval: 5, trimInterval: 10, ...driver(), ...more }
}

/** The driver to test, where the environment says so. */
export function driver (): Pick<SqliteOptions, 'driver'> {
  const name = process.env['SQLITE_DRIVER']
  return name === 'node' || name === 'better-sqlite3' ? { driver: name } : {}
}

/** An app with the plugin, closed when the test ends. Its stream goes before other work, so that what has been committed is on its way. */
export async function build (t: Test, options: ChangeStreamOptions = {}, server: FastifyServerOptions = {}): Promise<FastifyInstance> {
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(changeStream, { rest: 0, ...options })
  return app
}

/** The address of an app that listens. */
export async function listen (app: FastifyInstance): Promise<string> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

export interface Answer<T = unknown> {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly body: T
}

/** One request over real HTTP. An object is sent as JSON, a string as it is. */
export async function request<T = unknown> (url: string, method = 'GET', body?: unknown, headers: Record<string, string> = {}): Promise<Answer<T>> {
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: typeof body === 'string' || body instanceof Uint8Array ? body as string : JSON.stringify(body) })
  })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, headers: response.headers, text, body: (isJson && text !== '' ? JSON.parse(text) : undefined) as T }
}

/** A WebSocket client that keeps what comes until it is asked for. */
export class Inbox {
  readonly socket: WebSocket
  readonly #messages: string[] = []
  #arrived: (() => void) | undefined
  readonly #closed: Promise<{ code: number, reason: string }>

  constructor (url: string, protocols?: string | string[], options?: ClientOptions) {
    this.socket = new WebSocket(url.replace(/^http/, 'ws'), protocols, options)
    this.socket.on('message', data => {
      this.#messages.push(data.toString())
      this.#arrived?.()
    })
    this.#closed = new Promise(resolve => {
      this.socket.on('close', (code, reason) => {
        resolve({ code, reason: reason.toString() })
        this.#arrived?.()
      })
    })
    this.socket.on('error', () => {})
  }

  async open (): Promise<this> {
    if (this.socket.readyState !== WebSocket.OPEN) await once(this.socket, 'open')
    return this
  }

  /** The next message; it fails if the socket closes first. */
  async next (): Promise<string> {
    while (this.#messages.length === 0) {
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error('closed without a further message')
      await new Promise<void>(resolve => { this.#arrived = resolve })
    }
    return this.#messages.shift() ?? ''
  }

  async nextJson<T = Record<string, unknown>> (): Promise<T> {
    return JSON.parse(await this.next()) as T
  }

  /** What has come by the time the server has answered two pings: all that was on its way when this was called. */
  async rest (): Promise<string[]> {
    for (let round = 0; round < 2; round++) {
      this.socket.ping()
      await once(this.socket, 'pong')
    }
    return this.#messages.splice(0)
  }

  async closed (): Promise<{ code: number, reason: string }> {
    return await this.#closed
  }

  /** What came and was not asked for. */
  left (): string[] {
    return this.#messages.splice(0)
  }

  send (message: string | Uint8Array | object): void {
    this.socket.send(typeof message === 'string' || message instanceof Uint8Array ? message : JSON.stringify(message))
  }
}

/** An open subscriber, cut when the test ends. */
export async function connect (t: Test, url: string, protocols?: string | string[], options?: ClientOptions): Promise<Inbox> {
  const inbox = new Inbox(url, protocols, options)
  t.teardown(() => inbox.socket.terminate())
  return await inbox.open()
}

/** The status and body with which an upgrade is refused; resolves when the server has closed the connection. */
export async function refusedUpgrade (url: string, protocols?: string | string[], options?: ClientOptions): Promise<{ status: number, body: string }> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), protocols, options)
  return await new Promise((resolve, reject) => {
    socket.on('open', () => reject(new Error('it was upgraded')))
    socket.on('error', reject)
    socket.on('unexpected-response', (_, response) => {
      let body = ''
      response.on('data', chunk => { body += chunk })
      response.socket.on('close', () => resolve({ status: response.statusCode ?? 0, body }))
    })
  })
}

/** Writes without end, a few at a time and a turn of the event loop between, until it is stopped. */
export class Flood {
  #state: 'on' | 'off' = 'on'
  readonly #run: Promise<void>

  constructor (write: () => Promise<unknown>) {
    this.#run = this.#flow(write)
  }

  async stop (): Promise<void> {
    this.#state = 'off'
    await this.#run
  }

  async #flow (write: () => Promise<unknown>): Promise<void> {
    while (this.#state === 'on') {
      await Promise.all(Array.from({ length: 20 }, write))
      await new Promise(resolve => setImmediate(resolve))
    }
  }
}

/** Keeps the event loop busy for so many milliseconds. */
export function spend (milliseconds: number): void {
  for (const end = performance.now() + milliseconds; performance.now() < end;);
}

/** Resolves when `condition` holds; fails after five seconds. */
export async function until (condition: () => boolean | Promise<boolean>, what = 'the condition'): Promise<void> {
  const deadline = performance.now() + 5000
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`${what} did not come about`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

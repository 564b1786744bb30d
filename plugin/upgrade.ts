import { EventEmitter } from 'node:events'
import { type IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { type Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { Connections, type Grace } from '../routes/connections.ts'
import { guard } from '../routes/guard.ts'
import { Addresses } from './addresses.ts'

type Server = FastifyInstance['server']

/** The arguments of a server's `upgrade` event. */
type Upgrade = [request: IncomingMessage, socket: Duplex, head: Buffer]

const gates = new WeakMap<Server, UpgradeGate>()

/** The gate of the app's server, one for all streams of the app. */
export function upgradeGate (app: FastifyInstance): UpgradeGate {
  const gate = gates.get(app.server) ?? new UpgradeGate(app)
  gates.set(app.server, gate)
  return gate
}

/**
 * Sees to it that upgrades go where they would have gone without us, and that only streams upgrade because of us. A server that has a listener for upgrades
 * gets all of them, the app's other routes' too:
 * - Nobody else listens: the router decides. Each WebSocket is sent through it, and its route upgrades it if it is one of a stream; any other answers as it does
 *   without an upgrade, or refuses, and the connection is closed. An upgrade to anything else, such as h2c, is ignored (RFC 9110, 7.8).
 * - The app has listeners of its own: those of a stream's address are sent through the router, and the others hear nothing of them, as some refuse what they don't
 *   know; all the rest is theirs.
 * - A stream uses the app's own @fastify/websocket: that sends it through the router.
 * Whoever has sent it, an upgrade that is answered has its connection closed: nobody reads from it any more. And whosever it is, it waits for the answers to what was
 * sent before it on its connection (RFC 9112, 9.3.2).
 */
export class UpgradeGate {
  readonly #app: FastifyInstance
  readonly #addresses: Addresses
  /** What stands for the server before instances of @fastify/websocket. Any of them serves all, as they mark a request alike. */
  readonly #entries: EventEmitter[] = []
  /** Those that have been sent through the router and are not answered yet. */
  readonly #pending = new Map<IncomingMessage, ServerResponse>()
  readonly #answers = new Connections()
  /** Servers that take up no upgrade that is for nobody. */
  readonly #narrowed = new WeakSet<object>()

  constructor (app: FastifyInstance) {
    this.#app = app
    this.#addresses = new Addresses(app)
    const { server } = app
    const emit = server.emit
    const decide = guard<Duplex>(error => app.log.error({ err: error }, 'an upgrade failed'), socket => socket.destroy())((...upgrade: Upgrade) => {
      const [request, socket] = upgrade
      const earlier = responseOn(socket)
      if (earlier) return whenSent(earlier, socket, () => decide.apply(socket, upgrade))
      if (this.#isIgnored(request)) return this.#ignore(...upgrade)
      if (!this.#take(...upgrade)) Reflect.apply(emit, server, ['upgrade', ...upgrade])
      this.#closeAfterAnswer(request, socket)
    })
    // A listener can't keep an event from those after it.
    server.emit = ((name: string, ...parameters: unknown[]) => {
      if (name !== 'upgrade') return Reflect.apply(emit, server, [name, ...parameters])
      decide.apply((parameters as Upgrade)[1], parameters as Upgrade)
      return true
    }) as typeof emit
  }

  /** What stands for the server before a stream's own @fastify/websocket. */
  open (): EventEmitter {
    if (this.#entries.length === 0) {
      this.#app.server.on('upgrade', takenUp)
      this.#narrow(this.#app.server)
    }
    const entry = new EventEmitter()
    this.#entries.push(entry)
    return entry
  }

  /** Makes an address one of a stream's, as Fastify's `onRoute` hook tells it. */
  addAddress (url: string): void {
    this.#addresses.add(url)
  }

  /** A request has become a WebSocket. */
  opened (request: IncomingMessage): void {
    const response = this.#pending.get(request)
    if (response) this.#forget(request, response)
  }

  /** Resolves when all that has been sent through the router is answered or cut. */
  async end (grace: Grace): Promise<void> {
    await this.#answers.end(grace)
  }

  /** Whether the app has listeners of its own. */
  get #shared (): boolean {
    const { server } = this.#app
    return server.listenerCount('upgrade') > (this.#entries.length > 0 ? 1 : 0)
  }

  #isIgnored (request: IncomingMessage): boolean {
    return this.#entries.length > 0 && !this.#shared && !(isWebSocket(request) && request.method === 'GET')
  }

  /** Sends an upgrade through the router, if that is for us to do. */
  #take (request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    const [entry] = this.#entries
    if (!entry || !isWebSocket(request) || request.method !== 'GET') return false
    if (this.#shared && !this.#addresses.has(request)) return false
    entry.emit('upgrade', request, socket, head)
    this.#follow(request, socket)
    return true
  }

  #follow (request: IncomingMessage, socket: Duplex): void {
    const response = responseOn(socket)
    if (!response) return
    this.#pending.set(request, response)
    this.#answers.addAnswer(response)
    response.once('close', () => this.#forget(request, response))
  }

  #forget (request: IncomingMessage, response: ServerResponse): void {
    this.#pending.delete(request)
    this.#answers.deleteAnswer(response)
  }

  #closeAfterAnswer (request: IncomingMessage, socket: Duplex): void {
    const response = responseOn(socket)
    if (!response) return
    response.shouldKeepAlive = false
    const close = (): void => {
      socket.end(() => socket.destroy())
      this.#forget(request, response)
    }
    if (response.writableFinished) close()
    else response.once('finish', close)
  }

  /** Gives the connection back to the server, with the request on it as it would be without its upgrade. */
  #ignore (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { server = this.#app.server } = request.socket as { server?: Server }
    this.#narrow(server)
    if (!request.complete || request.readableLength > 0) return this.#answer(request, socket) // Node 26 has read its body, or will
    const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`]
    for (let index = 0; index < request.rawHeaders.length; index += 2) {
      const [name = '', value = ''] = request.rawHeaders.slice(index, index + 2)
      if (!/^(upgrade|http2-settings|connection)$/i.test(name)) lines.push(`${name}: ${value}`)
    }
    if (isWebSocket(request)) lines.push('Connection: close')
    socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
    server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket)
  }

  #answer (request: IncomingMessage, socket: Duplex): void {
    socket.on('error', () => socket.destroy())
    const response = new ServerResponse(request)
    response.assignSocket(socket as never)
    this.#follow(request, socket)
    this.#app.routing(request, response)
    this.#closeAfterAnswer(request, socket)
  }

  /** Where Node asks a server before it takes up an upgrade (22.21 and 24.9 on), it takes up none that is ignored. */
  #narrow (server: Server & { shouldUpgradeCallback?: (request: IncomingMessage) => boolean }): void {
    const { shouldUpgradeCallback: former } = server
    if (!former || this.#narrowed.has(server)) return
    this.#narrowed.add(server)
    server.shouldUpgradeCallback = request => former.call(server, request) && (isWebSocket(request) || this.#shared)
  }
}

/** The listener because of which upgrades are taken up; what is done with them is decided before. */
function takenUp (): void {}

function isWebSocket ({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket'
}

/**
 * Calls `proceed` when an answer has been sent, and its connection stays. Node has let go of the connection already: that it takes bytes again is passed on to who
 * writes the answer, and its errors are heard.
 */
function whenSent (response: ServerResponse, socket: Duplex, proceed: () => void): void {
  const onDrain = (): void => { response.emit('drain') }
  const onError = (): void => { socket.destroy() }
  socket.on('drain', onDrain).on('error', onError)
  response.once('finish', () => {
    if (!socket.writable) return
    socket.off('drain', onDrain).off('error', onError)
    if (socket instanceof Socket) socket.setTimeout(0) // that of a connection on which nothing is asked
    proceed()
  })
}

/** The response that is to be written to a socket, if there is one (`ServerResponse.assignSocket`). */
function responseOn (socket: Duplex): ServerResponse | null {
  const { _httpMessage: response } = socket as { _httpMessage?: unknown }
  return response instanceof ServerResponse ? response : null
}

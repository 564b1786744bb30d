import { EventEmitter } from 'node:events'
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'

type Server = FastifyInstance['server']

const gates = new WeakMap<Server, UpgradeGate>()

/** The gate of the app's server, one for all streams of the app. */
export function upgradeGate (app: FastifyInstance): UpgradeGate {
  const gate = gates.get(app.server) ?? new UpgradeGate(app)
  gates.set(app.server, gate)
  return gate
}

/**
 * Sees to it that only the streams' own addresses upgrade. A server that has a listener for upgrades gets all of them,
 * the app's other routes' too, so each must go where it would have gone without us:
 * - to the stream, if it is for one;
 * - to the app's own listeners, if there are others;
 * - to the router, if it asks for a WebSocket: the route answers as it does without an upgrade, or refuses, and the socket is closed;
 * - back into the server without its `Upgrade` header, if it asks for anything else, such as h2c, which a server may ignore (RFC 9110, 7.8).
 */
export class UpgradeGate {
  readonly #app: FastifyInstance
  readonly #streams = new Map<string, EventEmitter>()
  readonly #pathOf: (url: string | undefined) => string

  constructor (app: FastifyInstance) {
    this.#app = app
    this.#pathOf = pathOf(app)
    app.server.prependListener('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => this.#decide(request, socket, head))
  }

  /** Makes `path` upgrade; returns what stands for the server: it emits the upgrades of that path. */
  open (path: string): EventEmitter {
    const stream = new EventEmitter()
    this.#streams.set(this.#pathOf(path), stream)
    return stream
  }

  #decide (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const stream = this.#streams.get(this.#pathOf(request.url))
    const alone = this.#app.server.listenerCount('upgrade') === 1
    if (stream) stream.emit('upgrade', request, socket, head)
    else if (alone && request.headers.upgrade?.toLowerCase() === 'websocket') this.#answer(request, socket)
    else if (alone) this.#ignore(request, socket, head)
  }

  #answer (request: IncomingMessage, socket: Duplex): void {
    socket.on('error', () => socket.destroy())
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(socket as never)
    response.on('finish', () => socket.end(() => socket.destroy()))
    this.#app.routing(request, response)
  }

  #ignore (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`]
    for (let index = 0; index < request.rawHeaders.length; index += 2) {
      const [name = '', value = ''] = request.rawHeaders.slice(index, index + 2)
      if (!/^(upgrade|http2-settings|connection)$/i.test(name)) lines.push(`${name}: ${value}`)
    }
    socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
    this.#app.server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket)
  }
}

/** The path of a URL, in one spelling of those that the app's router takes for the same. */
export function pathOf (app: FastifyInstance): (url: string | undefined) => string {
  const { initialConfig } = app
  const { ignoreTrailingSlash, ignoreDuplicateSlashes, caseSensitive } = { ...initialConfig, ...('routerOptions' in initialConfig && initialConfig.routerOptions) } as typeof initialConfig
  return (url = '') => {
    let path = url.split('?', 1)[0] ?? ''
    if (ignoreDuplicateSlashes === true) path = path.replace(/\/{2,}/g, '/')
    if (ignoreTrailingSlash === true && path.length > 1 && path.endsWith('/')) path = path.slice(0, -1)
    return caseSensitive === false ? path.toLowerCase() : path
  }
}

import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/**
 * - `unasked`: its peer has asked for nothing, or has its last answer
 * - `asking`: its peer is in the middle of a request
 * - `answering`: the request is whole, the answer is not
 */
type State = 'unasked' | 'asking' | 'answering'

/** The connections of a server whose process is to end: none of them may hold it up, and no answer under way is to be lost. */
export class ServerConnections {
  readonly #sockets = new Set<Socket>()
  /** The latest answer on each connection, until it has been sent. */
  readonly #responses = new WeakMap<Socket, ServerResponse>()
  /** Bytes read of a connection by the time that its last answer had been sent. */
  readonly #answered = new WeakMap<Socket, number>()
  #closing = false

  /** To be made before the app has routes. */
  constructor (app: FastifyInstance) {
    app.server.on('connection', socket => this.#add(socket))
    app.addHook('onRequest', ({ raw: { socket } }, reply, done) => {
      this.#add(socket) // of "localhost" Fastify makes two servers
      this.#responses.set(socket, reply.raw)
      done()
    })
    app.addHook('onResponse', ({ raw: { socket } }, reply, done) => {
      done()
      if (this.#responses.get(socket) !== reply.raw) return // another request has been sent behind this one
      this.#responses.delete(socket)
      this.#answered.set(socket, socket.bytesRead)
      if (this.#closing) socket.destroySoon()
    })
  }

  /** Whether `end` was called. */
  get closing (): boolean {
    return this.#closing
  }

  /**
   * Closes those on which nothing is asked at once, those in the middle of a request after `grace`, and the last, being answered, after `limit`, milliseconds.
   * Every answer from now on closes its connection.
   */
  end (grace: number, limit: number): void {
    this.#closing = true
    for (const socket of this.#sockets) {
      const response = this.#responses.get(socket)
      if (response) response.shouldKeepAlive = false
    }
    this.#cut(['unasked'])
    setTimeout(() => this.#cut(['unasked', 'asking']), grace).unref()
    setTimeout(() => this.#cut(['unasked', 'asking', 'answering']), limit).unref()
  }

  /** Resolves when what is being answered now has been sent: Node cuts an answer that is written and not sent when its server is closed. */
  async answered (): Promise<void> {
    const answering = [...this.#sockets].filter(socket => this.#stateOf(socket) === 'answering')
    await Promise.all(answering.map(async socket => { await new Promise(resolve => socket.once('close', resolve)) }))
  }

  #add (socket: Socket): void {
    if (this.#sockets.has(socket)) return
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
  }

  #cut (states: readonly State[]): void {
    for (const socket of this.#sockets) if (states.includes(this.#stateOf(socket))) socket.destroy()
  }

  #stateOf (socket: Socket): State {
    const response = this.#responses.get(socket)
    if (response) return response.req.complete ? 'answering' : 'asking'
    return socket.bytesRead === (this.#answered.get(socket) ?? 0) ? 'unasked' : 'asking'
  }
}

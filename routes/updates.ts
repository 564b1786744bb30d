import type { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type {} from '@fastify/websocket' // its route options
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { RawData, WebSocket } from 'ws'
import { ChangeStreamError } from '../protocol/errors.ts'
import { subprotocol } from '../protocol/messages.ts'
import type { Properties } from '../protocol/properties.ts'
import type { Outlet } from '../stream/connection.ts'
import type { Hub } from '../stream/hub.ts'
import { type Framing, type Reader, jsonReader, textReader } from '../stream/reader.ts'
import { Subscription } from '../stream/subscription.ts'
import { obeyJson, obeyText } from './commands.ts'
import { Connections } from './connections.ts'
import { guard } from './guard.ts'
import { takeInTurn } from './message-turns.ts'
import { MessageOutlet, SocketOutlet } from './outlets.ts'
import { waitForTurn } from './pipelining.ts'
import { problemHandler } from './problem.ts'
import { Responses } from './responses.ts'
import { type StreamRequest, longestWait, readStreamRequest } from './stream-request.ts'
import { assertHandshake } from './upgrade.ts'

export interface UpdatesRouteOptions {
  /** Where the stream is, `/updates`. */
  readonly path: string
  readonly noun: string
  readonly properties: Properties
  /** The largest message that a client may send, bytes. */
  readonly maxMessage: number
  /** How many bytes may wait in one socket before it is not written to. */
  readonly highWaterMark: number
  /** Whether to send deflated frames to clients that take them. */
  readonly compression: boolean
}

/** A request that has been checked: where it starts, or why it can't start where it wants. */
interface Opening {
  readonly asked: StreamRequest
  /** Where to start in the log of this `epoch`. */
  readonly position: number
  readonly epoch: string
  readonly gone: ChangeStreamError | null
  readonly response: ServerResponse
}

const subscriptionKey = Symbol('subscription')
const socketKey = Symbol('socket')
const pongKey = Symbol('pong')

/** What hangs on a socket while it is open: its subscription, and no closure of its own. */
interface Attached {
  [subscriptionKey]?: Subscription
  [socketKey]?: Socket
  /** What a ping said that has yet to be answered. */
  [pongKey]?: Buffer
}

/**
 * The stream of a resource's changes: one address, four ways to read it (contract §3).
 * @returns its connections
 */
export function updatesRoute (app: FastifyInstance, hub: Hub, { path, noun, properties, maxMessage, highWaterMark, compression }: UpdatesRouteOptions): Connections {
  const connections = new Connections()
  const openings = new WeakMap<IncomingMessage, Opening>()
  const deflating = new WeakSet<IncomingMessage>()
  const report = (error: unknown): void => app.log.error({ err: error }, 'a connection of the stream failed')
  const { handlerTimeout = 0, http2SessionTimeout = 0 } = app.initialConfig as { handlerTimeout?: number, http2SessionTimeout?: number } // older versions of Fastify have no handlerTimeout
  const responses = new Responses({ hub, connections, sessionTimeout: http2SessionTimeout, report })
  const guarded = guard<WebSocket & Attached>(report, breakOff)
  const onMessage = { text: guarded(onText), json: guarded(onJson) }
  const onEnd = { error: guarded(onError), ping: guarded(onPing), pong: guarded(onPong), close: guarded(onClose) }
  const onSocketDrain = guard<Socket & Attached>(report, socket => socket.destroy())(onDrain)
  const readers: Readonly<Record<'text' | 'json', Readonly<Record<Framing, Reader>>>> = {
    text: { plain: textReader(noun), deflated: textReader(noun, 'deflated') },
    json: { plain: jsonReader(), deflated: jsonReader('deflated') }
  }

  app.addHook('onRequest', waitForTurn)
  if (compression) {
    app.websocketServer.on('headers', guard(report, () => {})((headers: string[], request: IncomingMessage) => {
      if (headers.some(agreesToDeflate)) deflating.add(request)
    }))
  }
  app.route({
    method: 'GET',
    url: path,
    exposeHeadRoute: true,
    ...(handlerTimeout > 0 && { handlerTimeout: handlerTimeout + longestWait }),
    errorHandler: problemHandler,
    preValidation: open,
    handler: respond,
    wsHandler: (webSocket: WebSocket & Attached, request) => guarded(function () { greet(this, request) }).call(webSocket)
  })
  return connections

  /** Before any upgrade: a bad query or a store that is down is refused with an HTTP status. */
  async function open (request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const isHandshake = request.ws && request.method === 'GET'
    if (isHandshake) assertHandshake(request.headers)
    const asked = readStreamRequest({ url: request.url, isUpgrade: isHandshake, headers: request.headers }, properties)
    if (asked.reader === 'json') request.raw.headers['sec-websocket-protocol'] = subprotocol // of those that are offered
    let gone: ChangeStreamError | null = null
    const position = await hub.locate(asked.since).catch((error: unknown) => {
      if (!(error instanceof ChangeStreamError && error.code === 'gone')) throw error
      gone = error
      return 0
    })
    openings.set(request.raw, { asked, position, epoch: hub.log.epoch, gone, response: reply.raw })
  }

  /** What the request was opened with, once; the app's own hooks may have taken so long that the log has become another one. */
  function openingOf ({ raw }: FastifyRequest): Opening | undefined {
    const opening = openings.get(raw)
    openings.delete(raw)
    if (!opening || opening.epoch === hub.log.epoch) return opening
    const gone = opening.asked.since === 'now' ? null : new ChangeStreamError('gone', 'the log has been replaced by another')
    return { ...opening, position: hub.position, epoch: hub.log.epoch, gone }
  }

  /** SSE and feed. */
  async function respond (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const opening = openingOf(request)
    if (!opening) throw new ChangeStreamError('internal', 'the request was not opened')
    if (reply.raw.destroyed) return reply.hijack() // the client has left meanwhile
    const { asked, position, gone } = opening
    if (gone && !asked.snapshot) throw gone
    if (asked.reader === 'sse') return responses.events(reply, { asked, begin: subscription => start(subscription, opening) })
    return await responses.feed(reply, asked, position)
  }

  /** Text and JSON. Handlers are attached before anything is awaited, so that no early message is lost. */
  function greet (webSocket: WebSocket & Attached, request: FastifyRequest): void {
    const opening = openingOf(request)
    if (!opening) return webSocket.terminate()
    const socket: (Socket & Attached) | undefined = request.raw.socket
    const real = socket instanceof Socket
    const outlet = real ? new SocketOutlet(webSocket, socket, highWaterMark) : new MessageOutlet(webSocket, guarded(function () { this[subscriptionKey]?.drained() }).bind(webSocket))
    const { reader } = opening.asked
    const kind = reader === 'text' ? 'text' : 'json'
    const subscription = subscribe(outlet, readers[kind][real && deflating.has(request.raw) ? 'deflated' : 'plain'], opening)
    webSocket[subscriptionKey] = subscription
    connections.add(webSocket)
    app.websocketServer.clients?.delete(webSocket) // an app that closes all its sockets must leave the goodbye to us
    webSocket.removeAllListeners('error')
    webSocket.on('error', onEnd.error).on('message', onMessage[kind]).on('pong', onEnd.pong).on('close', onEnd.close)
    if (app.websocketServer.options.autoPong === false) webSocket.on('ping', onEnd.ping)
    if (real) {
      socket[subscriptionKey] = subscription
      webSocket[socketKey] = socket
      socket.on('drain', onSocketDrain)
      release(opening.response, socket)
    }
    start(subscription, opening)
  }

  function subscribe (outlet: Outlet, reader: Reader, { asked: { filter, snapshot } }: Opening): Subscription {
    return new Subscription(hub, outlet, { reader, filter, view: snapshot })
  }

  function start (subscription: Subscription, { asked, position, gone }: Opening): void {
    if (hub.closing.aborted) subscription.sayGoodbye(0)
    else if (gone && !asked.snapshot) subscription.fail(gone)
    else if (gone || (asked.snapshot && asked.since === 'now')) subscription.startWithSnapshot(gone)
    else subscription.startAt(asked.since === 'now' ? hub.position : position)
  }

  function onText (this: WebSocket & Attached, data: RawData, isBinary: boolean): void {
    const subscription = heard(this, data)
    if (subscription && !isBinary) obeyText(subscription, data.toString())
  }

  async function onJson (this: WebSocket & Attached, data: RawData): Promise<void> {
    const subscription = heard(this, data)
    if (subscription) await takeInTurn(this, hub.reads, () => obeyJson(subscription, data.toString(), properties))
  }

  /** Who has sent a message of bearable size. */
  function heard (webSocket: Attached, data: RawData): Subscription | undefined {
    const subscription = webSocket[subscriptionKey]
    subscription?.alive()
    if ((data as Buffer).length <= maxMessage) return subscription
    subscription?.fail(new ChangeStreamError('too-large', `a message holds at most ${maxMessage} bytes`))
    return undefined
  }

  function onError (error: Error): void {
    app.log.debug({ err: error }, 'the peer broke the protocol or the connection')
  }

  function onClose (this: WebSocket & Attached): void {
    connections.delete(this)
    this[subscriptionKey]?.close()
    delete this[subscriptionKey]
  }
}

/** Ends a stream because of a fault of ours. */
function breakOff (webSocket: WebSocket & Attached, cause: unknown): void {
  const subscription = webSocket[subscriptionKey]
  if (!subscription || subscription.state === 'closed') return webSocket.terminate()
  try {
    subscription.fail(new ChangeStreamError('internal', 'the stream failed', { cause }))
  } catch (error) {
    webSocket.terminate()
    throw error
  }
}

/** A peer that sends pings and reads no answer has one waiting for it, to the last of them (RFC 6455, 5.5.3). */
function onPing (this: WebSocket & Attached, data: Buffer): void {
  const socket = this[socketKey]
  const waits = this[pongKey] !== undefined
  if (!socket || (!waits && !socket.writableNeedDrain)) return this.pong(data)
  this[pongKey] = data
  if (!waits) socket.once('drain', () => answerPing(this))
}

function answerPing (webSocket: WebSocket & Attached): void {
  const data = webSocket[pongKey]
  delete webSocket[pongKey]
  if (data && webSocket.readyState === webSocket.OPEN) webSocket.pong(data)
}

function onPong (this: WebSocket & Attached): void {
  this[subscriptionKey]?.alive()
}

function onDrain (this: Socket & Attached): void {
  this[subscriptionKey]?.drained()
}

/** Whether a header of the handshake's answer says that frames may be deflated, with a window of full size (RFC 7692, 7.1.2.1). */
function agreesToDeflate (header: string): boolean {
  return /^sec-websocket-extensions:.*permessage-deflate/i.test(header) && !/server_max_window_bits=([89]|1[0-4])\b/.test(header)
}

/** Lets go of what the handshake brought: the response, and with it the request and all that Fastify made for them. */
function release (response: ServerResponse, socket: Socket): void {
  if (response.socket !== socket) return
  response.detachSocket(socket)
}

import type { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type {} from '@fastify/websocket' // its route options
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { RawData, WebSocket } from 'ws'
import { ChangeStreamError } from '../protocol/errors.ts'
import { subprotocol } from '../protocol/messages.ts'
import type { Properties } from '../protocol/properties.ts'
import type { Outlet } from '../stream/connection.ts'
import { readFeed } from '../stream/feed.ts'
import type { Hub } from '../stream/hub.ts'
import { type Framing, type Reader, jsonReader, sseReader, textReader } from '../stream/reader.ts'
import { Subscription } from '../stream/subscription.ts'
import { obeyJson, obeyText } from './commands.ts'
import { Connections } from './connections.ts'
import { MessageOutlet, ResponseOutlet, SocketOutlet } from './outlets.ts'
import { waitForTurn } from './pipelining.ts'
import { problemHandler } from './problem.ts'
import { type StreamRequest, readStreamRequest } from './stream-request.ts'
import { isUpgrade } from './upgrade.ts'

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
  readonly position: number
  readonly gone: ChangeStreamError | null
  readonly response: ServerResponse
}

const subscriptionKey = Symbol('subscription')

/** What hangs on a socket while it is open: its subscription, and no closure of its own. */
interface Attached { [subscriptionKey]?: Subscription }

/**
 * The stream of a resource's changes: one address, four ways to read it (contract §3).
 * @returns its connections
 */
export function updatesRoute (app: FastifyInstance, hub: Hub, { path, noun, properties, maxMessage, highWaterMark, compression }: UpdatesRouteOptions): Connections {
  const connections = new Connections()
  const openings = new WeakMap<IncomingMessage, Opening>()
  const deflating = new WeakSet<IncomingMessage>()
  const readers: Readonly<Record<'text' | 'json', Readonly<Record<Framing, Reader>>>> = {
    text: { plain: textReader(noun), deflated: textReader(noun, 'deflated') },
    json: { plain: jsonReader(), deflated: jsonReader('deflated') }
  }

  app.addHook('onRequest', waitForTurn)
  app.addHook('onResponse', async ({ raw }) => {
    if (isUpgrade(raw)) raw.socket.destroySoon() // it was answered, so it was refused
  })
  if (compression) {
    app.websocketServer.on('headers', (headers, request) => {
      if (headers.some(agreesToDeflate)) deflating.add(request)
    })
  }
  app.route({
    method: 'GET',
    url: path,
    exposeHeadRoute: false,
    errorHandler: problemHandler,
    preValidation: open,
    handler: respond,
    wsHandler: greet
  })
  return connections

  /** Before any upgrade: a bad query or a store that is down is refused with an HTTP status. */
  async function open (request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const asked = readStreamRequest({ url: request.url, isUpgrade: request.ws, headers: request.headers }, properties)
    if (asked.reader === 'json') request.raw.headers['sec-websocket-protocol'] = subprotocol // of those that are offered
    let gone: ChangeStreamError | null = null
    const position = await hub.locate(asked.since).catch((error: unknown) => {
      if (!(error instanceof ChangeStreamError && error.code === 'gone')) throw error
      gone = error
      return 0
    })
    openings.set(request.raw, { asked, position, gone, response: reply.raw })
  }

  /** SSE and feed. */
  async function respond (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const opening = openings.get(request.raw)
    if (!opening) throw new ChangeStreamError('internal', 'the request was not opened')
    if (reply.raw.destroyed) return reply.hijack() // the client has left meanwhile
    const { asked, position, gone } = opening
    if (gone && !asked.snapshot) throw gone
    if (asked.reader === 'sse') return stream(reply, opening)
    const left = new AbortController()
    reply.raw.once('close', () => left.abort())
    const page = await readFeed(hub, { ...asked, position, signal: left.signal })
    if (hub.closing.aborted) reply.header('Connection', 'close')
    return reply.header('Content-Type', 'application/json; charset=utf-8').header('Cache-Control', 'no-store').send(page)
  }

  function stream (reply: FastifyReply, opening: Opening): FastifyReply {
    reply.headers({ 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' })
    const headers = Object.entries(reply.getHeaders())
    const response = reply.hijack().raw
    for (const [name, value] of headers) if (value !== undefined) response.setHeader(name, value)
    response.flushHeaders()
    const subscription = subscribe(new ResponseOutlet(response), sseReader, opening)
    connections.add(response)
    response.on('drain', () => subscription.drained()).on('close', () => {
      connections.delete(response)
      subscription.close()
    })
    start(subscription, opening)
    return reply
  }

  /** Text and JSON. Handlers are attached before anything is awaited, so that no early message is lost. */
  function greet (webSocket: WebSocket & Attached, request: FastifyRequest): void {
    const opening = openings.get(request.raw)
    if (!opening) return webSocket.terminate()
    openings.delete(request.raw)
    const socket: (Socket & Attached) | undefined = request.raw.socket
    const real = socket instanceof Socket
    const outlet = real ? new SocketOutlet(webSocket, socket, highWaterMark) : new MessageOutlet(webSocket, () => webSocket[subscriptionKey]?.drained())
    const { reader } = opening.asked
    const subscription = subscribe(outlet, readers[reader === 'text' ? 'text' : 'json'][real && deflating.has(request.raw) ? 'deflated' : 'plain'], opening)
    webSocket[subscriptionKey] = subscription
    connections.add(webSocket)
    app.websocketServer.clients?.delete(webSocket) // an app that closes all its sockets must leave the goodbye to us
    webSocket.removeAllListeners('error')
    webSocket.on('error', onError).on('message', reader === 'text' ? onText : onJson).on('pong', onPong).on('close', onClose)
    if (real) {
      socket[subscriptionKey] = subscription
      socket.on('drain', onDrain)
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

  function onJson (this: WebSocket & Attached, data: RawData): void {
    const subscription = heard(this, data)
    if (subscription) obeyJson(subscription, data.toString(), properties)
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

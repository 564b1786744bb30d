import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import { readFeed } from '../stream/feed.ts'
import type { Hub } from '../stream/hub.ts'
import { sseReader } from '../stream/reader.ts'
import { Subscription } from '../stream/subscription.ts'
import { sayCaching } from './caching.ts'
import type { Connections } from './connections.ts'
import { guard } from './guard.ts'
import { mayBeIdle } from './idle.ts'
import { jsonType } from './list.ts'
import { ResponseOutlet } from './outlets.ts'
import type { StreamRequest } from './stream-request.ts'

/** What the readers over HTTP need of their app. */
export interface ResponsesOptions {
  readonly hub: Hub
  readonly connections: Connections
  /** The app's `http2SessionTimeout`, milliseconds. */
  readonly sessionTimeout: number
  /** Hears of faults that nobody foresaw; each has ended one response. */
  readonly report: (error: unknown) => void
}

/** Where a reader starts, and what sets it going. */
interface Start { readonly asked: StreamRequest, readonly begin: (subscription: Subscription) => void }

/** The stream's two ways over HTTP: server-sent events (PROTOCOL.md, Server-sent events) and the feed (PROTOCOL.md, Feed). */
export class Responses {
  readonly #options: ResponsesOptions

  constructor (options: ResponsesOptions) {
    this.#options = options
  }

  events (reply: FastifyReply, { asked: { filter, snapshot }, begin }: Start): FastifyReply {
    const { hub, connections } = this.#options
    sayCaching(reply, 'no-store').headers({ 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' })
    if (reply.request.method === 'HEAD') return reply.send()
    const headers = Object.entries(reply.getHeaders())
    const response = reply.hijack().raw
    for (const [name, value] of headers) if (value !== undefined) response.setHeader(name, value)
    const listener = this.#guarded()
    const ended = mayBeIdle(reply.request.raw, this.#options.sessionTimeout)
    response.prependOnceListener('finish', listener(ended))
    response.flushHeaders()
    const outlet = new ResponseOutlet(response)
    const subscription = new Subscription(hub, outlet, { reader: sseReader, filter, view: snapshot })
    connections.add(response)
    response.on('drain', listener(() => {
      outlet.drained()
      subscription.drained()
    }))
    response.on('error', () => {}) // what is written to one that has been cut
    response.on('close', listener(() => {
      ended()
      connections.delete(response)
      subscription.close()
    }))
    try {
      begin(subscription)
    } catch (error) {
      subscription.fault(error)
    }
    return reply
  }

  async feed (reply: FastifyReply, asked: StreamRequest, position: number): Promise<FastifyReply> {
    const { hub, connections } = this.#options
    const wait = reply.request.method === 'HEAD' ? 0 : asked.wait
    const left = new AbortController()
    const ended = wait > 0 ? mayBeIdle(reply.request.raw, this.#options.sessionTimeout) : () => {}
    connections.addAnswer(reply.raw)
    reply.raw.once('close', this.#guarded()(() => {
      ended()
      connections.deleteAnswer(reply.raw)
      left.abort()
    }))
    const page = await readFeed(hub, { ...asked, position, wait, signal: left.signal }).finally(ended)
    if (hub.closing.aborted && reply.request.raw.httpVersionMajor < 2) reply.header('Connection', 'close')
    return sayCaching(reply, 'no-store').header('Content-Type', jsonType).send(page)
  }

  #guarded () {
    return guard<ServerResponse>(this.#options.report, response => response.destroy())
  }
}

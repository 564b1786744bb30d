import { once } from 'node:events'
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { WebSocket } from 'ws'
import changeStream from '../../plugin/index.ts'
import { subprotocol } from '../../protocol/messages.ts'
import type { Log } from '../../protocol/log.ts'
import type { OpenStore } from '../../repository/store.ts'
import { type Answer, type FeedPage, type Listener, Logged, type Peer, type Service, type Settings, type SocketReader, type World, type Write, query, resourceNames } from './service.ts'
import { readCursor } from './log.ts'
import { type Plain, type Where, Thing } from './things.ts'

/** What is looked at without a request: how far the log reaches. */
interface HasLog { readonly log: Log }

/** A real app, reached over real sockets. */
export async function wireWorld (settings: Settings, openStore: () => OpenStore): Promise<World> {
  const { store, kept, capacity, ...options } = settings
  const agent = new Agent({ keepAlive: true })
  const peers = new Set<Peer>()
  const start = async (): Promise<{ app: FastifyInstance, services: Service[] }> => {
    const app = Fastify()
    for (const name of resourceNames) {
      await app.register(changeStream, { resource: { name, noun: 'thing', schema: Thing }, updatesPath: `/${name}/updates`, repository: openStore(), ...options, maxPage: 1_000_000_000 }) // a list is one page here
    }
    await app.listen({ port: 0, host: '127.0.0.1' })
    const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
    const repositories = new Map<string, HasLog>(Object.entries(app.changeStreams))
    return { app, services: resourceNames.map(name => new WireService(`${origin}/${name}`, (repositories.get(name) as HasLog).log, agent, peers)) }
  }
  const close = async (): Promise<void> => {
    for (const peer of peers) peer.flow()
    peers.clear()
    await running.app.close()
  }
  let running = await start()
  return {
    faults: [],
    get services () { return running.services },
    async close () {
      await close()
      agent.destroy()
    },
    async restart () {
      await close()
      running = await start()
    }
  }
}

class WireService extends Logged implements Service {
  readonly #url: string
  readonly #agent: Agent
  readonly #peers: Set<Peer>

  constructor (url: string, log: Log, agent: Agent, peers: Set<Peer>) {
    super(log)
    this.#url = url
    this.#agent = agent
    this.#peers = peers
  }

  async write (write: Write): Promise<Answer> {
    const path = 'id' in write ? `/${write.id}` : ''
    const body = write.kind === 'patch' ? write.patch : write.kind === 'batch' ? write.bodies : write.kind === 'delete' ? undefined : write.body
    const method = { create: 'POST', batch: 'POST', replace: 'PUT', patch: 'PATCH', delete: 'DELETE' }[write.kind]
    const { status, headers, text } = await this.#ask(path, method, {
      ...('ifMatch' in write && { 'if-match': `"${write.ifMatch}"` }),
      ...('ifNoneMatch' in write && { 'if-none-match': '*' })
    }, body)
    const cursor = String(headers['change-cursor'] ?? '')
    if (status >= 400 || status === 204) return { status, cursor, saved: [] }
    const value = JSON.parse(text) as Answer['saved'][number]['record']
    if (!Array.isArray(value)) return { status, cursor, saved: [{ record: value, version: headers.etag?.slice(1, -1) }] }
    const { epoch, position } = readCursor(cursor) // a batch has no ETags; a version is the cursor of its change
    return { status, cursor, saved: value.map((record, index) => ({ record, version: `${epoch}.${position - value.length + 1 + index}` })) }
  }

  async list (where: Where, fields: readonly string[] | null): Promise<{ records: Plain[], cursor: string }> {
    const { headers, text } = await this.#ask(`?${query({ limit: '1000', ...(where && { where: JSON.stringify(where) }), ...(fields && { fields: fields.join() }) })}`)
    return { records: JSON.parse(text) as Plain[], cursor: String(headers['change-cursor']) }
  }

  async open (reader: SocketReader, query: string, lastEventId: string, listener: Listener): Promise<Peer | number> {
    const url = `${this.#url}/updates?${query}`
    const peer = reader === 'sse' ? await openEvents(url, lastEventId, listener) : await openSocket(url, reader, listener)
    if (typeof peer !== 'number') this.#peers.add(peer)
    return peer
  }

  async feed (query: string): Promise<FeedPage> {
    const { status, text } = await this.#ask(`/updates?${query}`, 'GET', { accept: 'application/json' })
    return { ...JSON.parse(text) as FeedPage, status }
  }

  async #ask (path: string, method = 'GET', headers: Record<string, string> = {}, body?: unknown): Promise<{ status: number, headers: IncomingMessage['headers'], text: string }> {
    const sent = request(this.#url + path, { method, agent: this.#agent, headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) } })
    sent.end(body === undefined ? undefined : JSON.stringify(body))
    const [response] = await once(sent, 'response') as [IncomingMessage]
    const parts: Buffer[] = []
    for await (const part of response) parts.push(part as Buffer)
    return { status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(parts).toString() }
  }
}

async function openSocket (url: string, reader: SocketReader, listener: Listener): Promise<Peer | number> {
  const socket = new WebSocket(url.replace('http', 'ws'), reader === 'json' ? subprotocol : [])
  socket.on('message', data => listener.message(data.toString())).on('close', code => listener.ended(code)).on('error', () => {})
  const refused = once(socket, 'unexpected-response').then(([, response]) => (response as IncomingMessage).statusCode ?? 0)
  const status = await Promise.race([once(socket, 'open').then(() => null), refused])
  refused.catch(() => {})
  if (status !== null) return status
  const closed = once(socket, 'close')
  return {
    stall: () => { if (socket.readyState === WebSocket.OPEN) socket.pause() },
    flow: () => socket.resume(),
    async send (text) {
      if (socket.readyState !== WebSocket.OPEN) return
      socket.resume()
      socket.send(text)
      socket.ping()
      await Promise.race([once(socket, 'pong'), closed])
    },
    async leave (how) {
      socket.resume()
      if (how === 'abrupt') socket.terminate()
      else socket.close()
      if (socket.readyState !== WebSocket.CLOSED) await closed
    }
  }
}

async function openEvents (url: string, lastEventId: string, listener: Listener): Promise<Peer | number> {
  const sent: ClientRequest = request(url, { agent: false, headers: { accept: 'text/event-stream', ...(lastEventId !== '' && { 'last-event-id': lastEventId }) } })
  sent.end()
  const [response] = await once(sent, 'response') as [IncomingMessage]
  if (response.statusCode !== 200) {
    response.resume()
    return response.statusCode ?? 0
  }
  let rest = ''
  response.setEncoding('utf8')
  response.on('data', (text: string) => {
    const blocks = (rest + text).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) listener.message(block)
  }).on('end', () => listener.ended(1000)).on('error', () => listener.ended(1006))
  return {
    stall: () => { response.pause() },
    flow: () => { response.resume() },
    send: async () => {},
    leave: async () => { sent.destroy() }
  }
}

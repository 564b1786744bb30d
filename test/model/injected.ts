import { ChangeStreamError } from '../../protocol/errors.ts'
import { pick } from '../../protocol/fields.ts'
import type { Json } from '../../protocol/change.ts'
import { subprotocol } from '../../protocol/messages.ts'
import { parseFields } from '../../protocol/filter.ts'
import { parseWhere } from '../../protocol/where.ts'
import { Repository, type Saved } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import type { OpenStore } from '../../repository/store.ts'
import { obeyJson, obeyText } from '../../routes/commands.ts'
import { type StreamRequest, readStreamRequest } from '../../routes/stream-request.ts'
import { readFeed } from '../../stream/feed.ts'
import { Gate } from '../../stream/gate.ts'
import { Hub } from '../../stream/hub.ts'
import { jsonReader, sseReader, textReader } from '../../stream/reader.ts'
import { Subscription } from '../../stream/subscription.ts'
import { InjectedPeer } from './injected-peer.ts'
import { type Answer, type FeedPage, type Listener, Logged, type Peer, type Service, type Settings, type SocketReader, type World, type Write, resourceNames } from './service.ts'
import { type Body, type Plain, type Where, Thing } from './things.ts'

const resources = resourceNames.map(name => new Resource({ name, noun: 'thing', schema: Thing }))
const readers = { text: textReader('thing'), json: jsonReader(), sse: sseReader }

/** Repositories and hubs as the plugin wires them, without an app and without sockets. */
export async function injectedWorld (settings: Settings, openStore: () => OpenStore): Promise<World> {
  const faults: unknown[] = []
  const open = async (): Promise<InjectedService[]> => {
    const store = openStore()
    return await Promise.all(resources.map(async resource => {
      const report = (error: unknown): void => { faults.push(error) }
      const gate = new Gate(settings)
      const repository = new Repository(resource, await store(resource), report, () => gate.pass())
      return new InjectedService(repository, new Hub(repository.log, settings, gate, report), settings.capacity)
    }))
  }
  let services = await open()
  const close = async (): Promise<void> => { for (const service of services) await service.close() }
  return {
    faults,
    get services () { return services },
    close,
    async restart () {
      await close()
      services = await open()
    }
  }
}

class InjectedService extends Logged implements Service {
  readonly #repository: Repository<typeof Thing>
  readonly #hub: Hub
  readonly #capacity: number

  constructor (repository: Repository<typeof Thing>, hub: Hub, capacity: number) {
    super(repository.log)
    this.#repository = repository
    this.#capacity = capacity
    this.#hub = hub
    repository.on('committed', entries => this.#hub.append(entries)).on('reset', () => this.#hub.reset())
  }

  async write (write: Write): Promise<Answer> {
    try {
      return await this.#write(write)
    } catch (error) {
      if (error instanceof ChangeStreamError) return { status: error.statusCode, cursor: '', saved: [] }
      throw error
    }
  }

  async #write (write: Write): Promise<Answer> {
    const repository = this.#repository
    const ifMatch = 'ifMatch' in write ? { ifMatch: [write.ifMatch ?? ''] } : {}
    switch (write.kind) {
      case 'create': return saved(201, [await repository.create(write.body)])
      case 'batch': return saved(201, await repository.createAll(write.bodies as readonly Body[]))
      case 'replace': {
        const one = await repository.replace(write.id, write.body, { ...ifMatch, ...('ifNoneMatch' in write && { ifNoneMatch: '*' }) })
        return saved(one.created ? 201 : 200, [one])
      }
      case 'patch': return saved(200, [await repository.patch(write.id, write.patch, ifMatch)])
      case 'delete': return { status: 204, cursor: (await repository.delete(write.id, ifMatch)).cursor, saved: [] }
    }
  }

  async list (where: Where, fields: readonly string[] | null): Promise<{ records: Plain[], cursor: string }> {
    const { properties } = this.#repository.resource
    const { items, cursor } = await this.#repository.list({ where: parseWhere(where, properties), sort: [], limit: 1000, after: null })
    const wanted = parseFields(fields, properties)
    return { records: items.map(item => pick(JSON.parse(item.json) as Json, wanted)), cursor }
  }

  async open (reader: SocketReader, query: string, lastEventId: string, listener: Listener): Promise<Peer | number> {
    try {
      const asked = this.#read(query, reader !== 'sse', {
        accept: reader === 'sse' ? 'text/event-stream' : undefined,
        ...(reader === 'json' && { 'sec-websocket-protocol': subprotocol }),
        ...(lastEventId !== '' && { 'last-event-id': lastEventId })
      })
      const { position, gone } = await this.#locate(asked)
      if (gone && reader === 'sse' && !asked.snapshot) throw gone
      return this.#subscribe(asked, reader, { position, gone }, listener)
    } catch (error) {
      if (error instanceof ChangeStreamError) return error.statusCode
      throw error
    }
  }

  async feed (query: string): Promise<FeedPage> {
    try {
      const asked = this.#read(query, false, { accept: 'application/json' })
      const { position, gone } = await this.#locate(asked)
      if (gone) throw gone
      const page = JSON.parse(await readFeed(this.#hub, { ...asked, position, signal: new AbortController().signal })) as FeedPage
      return { ...page, status: 200 }
    } catch (error) {
      if (error instanceof ChangeStreamError) return { status: error.statusCode, changes: [], cursor: '', more: false }
      throw error
    }
  }

  async close (): Promise<void> {
    this.#hub.close(0)
    await this.#repository.close()
  }

  #read (query: string, isUpgrade: boolean, headers: Parameters<typeof readStreamRequest>[0]['headers']): StreamRequest {
    return readStreamRequest({ url: `/updates?${query}`, isUpgrade, headers }, this.#repository.resource.properties)
  }

  async #locate (asked: StreamRequest): Promise<{ position: number, gone: ChangeStreamError | null }> {
    try {
      return { position: await this.#hub.locate(asked.since), gone: null }
    } catch (error) {
      if (error instanceof ChangeStreamError && error.code === 'gone') return { position: 0, gone: error }
      throw error
    }
  }

  #subscribe (asked: StreamRequest, reader: SocketReader, { position, gone }: { position: number, gone: ChangeStreamError | null }, listener: Listener): Peer {
    const { properties } = this.#repository.resource
    const obey = reader === 'text' ? obeyText : (subscription: Subscription, text: string) => obeyJson(subscription, text, properties)
    const peer = new InjectedPeer({ reader, capacity: this.#capacity, listener, obey })
    const subscription = new Subscription(this.#hub, peer, { reader: readers[reader], filter: asked.filter, view: asked.snapshot })
    peer.attach(subscription)
    if (gone && !asked.snapshot) subscription.fail(gone)
    else if (gone || (asked.snapshot && asked.since === 'now')) subscription.startWithSnapshot(gone)
    else subscription.startAt(asked.since === 'now' ? this.#hub.position : position)
    return peer
  }
}

function saved (status: number, all: readonly Saved<typeof Thing>[]): Answer {
  return { status, cursor: all.at(-1)?.cursor ?? '', saved: all.map(({ json, version }) => ({ record: JSON.parse(json) as Plain & { id: string }, version })) }
}

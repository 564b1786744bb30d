import websocket from '@fastify/websocket'
import type { TSchema } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { ReadBudget } from '../repository/read-budget.ts'
import { Repository } from '../repository/repository.ts'
import { resourceRoutes } from '../routes/resource.ts'
import { updatesRoute } from '../routes/updates.ts'
import { Gate } from '../stream/gate.ts'
import { Hub } from '../stream/hub.ts'
import { eventSourceCutter } from './closing.ts'
import { type ChangeStreamOptions, type Person, type ReadOptions, readOptions } from './options.ts'
import { type UpgradeGate, upgradeGate } from './upgrade.ts'

export { Person, type ChangeStreamOptions } from './options.ts'
export { memory, type MemoryOptions } from '../repository/memory.ts'
export { Repository, type Saved, type Versioned, type Page } from '../repository/repository.ts'
export type { Conditions } from '../repository/conditions.ts'
export type { Body, RecordOf } from '../repository/resource.ts'
export type { Retention } from '../repository/retention.ts'
export type { OpenStore, Store } from '../repository/store.ts'
export type { Change, Delete, Save } from '../protocol/change.ts'
export { ChangeStreamError, problemType, type Problem, type ProblemCode } from '../protocol/errors.ts'

/**
 * The app's resources and their schemas, for the types of `app.changeStreams`. Add yours:
 *
 *     declare module 'fastify-change-stream' {
 *       interface ChangeStreams { orders: typeof Order }
 *     }
 */
export interface ChangeStreams { people: typeof Person }

declare module 'fastify' {
  interface FastifyInstance {
    /** The repositories of the registered resources, by name. */
    changeStreams: { readonly [Name in keyof ChangeStreams]: ChangeStreams[Name] extends TSchema ? Repository<ChangeStreams[Name]> : never }
  }
}

/** Frames are deflated for many at once: what one socket has got before can't be built upon (RFC 7692, 7.1.1). */
const deflate = { serverNoContextTakeover: true, clientNoContextTakeover: true } as const

/**
 * When the app closes: how long a stream's peers have to close their ends, and the peer of a feed may take nothing of it; and how long a feed has that is taken,
 * a little less than the 10 seconds that are usual for a process to end in.
 */
const closing = { peers: 1000, answers: 9500 } as const
/** After a shutdown subscribers come back spread over this time, milliseconds. */
const returnWithin = 1000

/**
 * Registers a resource: REST for its records, a repository at `app.changeStreams.<name>`, and the stream of its changes.
 * Once for each resource.
 */
async function changeStream (app: FastifyInstance, options: ChangeStreamOptions): Promise<void> {
  const settings = readOptions(options)
  const { resource } = settings
  if (!Object.hasOwn(app, 'changeStreams')) app.decorate('changeStreams', { ...app.changeStreams }) // what a parent has is seen, and left alone
  assertCompresses(app, settings)
  if (Object.hasOwn(app.changeStreams, resource.name)) throw new TypeError(`fastify-change-stream: resource "${resource.name}" is registered already`)
  const report = (error: unknown): void => app.log.error({ err: error }, `the change stream of ${resource.name} failed`)
  const gate = new Gate(settings)
  const budget = readBudget(app, settings)
  const repository = new Repository(resource, await settings.repository(resource, budget), report, () => gate.pass())
  const hub = new Hub(repository.log, settings, gate, report, budget)
  repository.on('committed', entries => hub.append(entries)).on('reset', () => hub.reset())
  Object.assign(app.changeStreams, { [resource.name]: repository })
  app.addHook('onClose', () => repository.close())
  // scopes of their own: what the routes need of Fastify is set there and nowhere else, and REST pays nothing for the stream
  const { prefix = '' } = settings
  app.register(async scope => resourceRoutes(scope, repository, settings), { prefix })
  app.register(async scope => await serveStream(scope, hub, settings), { prefix })
}

const budgets = new WeakMap<FastifyInstance['server'], ReadBudget>()

/** What the reads of a resource are done with, together with those of the app's other resources. */
function readBudget (app: FastifyInstance, settings: ReadOptions): ReadBudget {
  const budget = new ReadBudget(settings, budgets.get(app.server))
  budgets.set(app.server, budget)
  return budget
}

/** @throws {TypeError} where an app's own WebSockets, over which ours go then, can't deflate */
function assertCompresses (app: FastifyInstance, { compression }: ReadOptions): void {
  if (!compression || !app.hasDecorator('websocketServer') || app.websocketServer.options.perMessageDeflate) return
  throw new TypeError('fastify-change-stream: option "compression" needs the perMessageDeflate of the app\'s own @fastify/websocket: register it with ' +
    '{ options: { perMessageDeflate: true } }, or after this plugin')
}

async function serveStream (scope: FastifyInstance, hub: Hub, settings: ReadOptions): Promise<void> {
  const { resource, updatesPath, maxMessage, highWaterMark, compression } = settings
  const gate = upgradeGate(scope)
  if (!scope.hasDecorator('websocketServer')) await serveWebSockets(scope, gate, settings)
  const cutEventSources = eventSourceCutter(scope)
  const connections = updatesRoute(scope, hub, { path: updatesPath, noun: resource.noun, properties: resource.properties, maxMessage, highWaterMark, compression })
  scope.addHook('preClose', async () => {
    cutEventSources()
    hub.close(returnWithin)
    await Promise.all([connections.end(closing), gate.end({ peers: closing.peers, answers: closing.peers })])
  })
}

/** Gives a scope WebSockets of its own, for the routes it will have. */
async function serveWebSockets (scope: FastifyInstance, gate: UpgradeGate, { maxMessage, compression }: ReadOptions): Promise<void> {
  await scope.register(websocket, {
    options: { server: gate.open() as never, maxPayload: maxMessage, perMessageDeflate: compression && deflate, clientTracking: false, autoPong: false },
    errorHandler: (error, socket) => {
      scope.log.error({ err: error }, 'a stream could not be opened')
      socket.terminate()
    },
    preClose: done => done()
  })
  scope.websocketServer.on('connection', (_, request) => gate.opened(request))
  scope.addHook('onRoute', ({ url, routePath, method }) => {
    if (method !== 'GET') return
    gate.addAddress(url)
    if (routePath === '') gate.addAddress(`${url}/`) // "/" under a prefix is both
  })
}

export default fastifyPlugin(changeStream, { name: 'fastify-change-stream', fastify: '5.x' })

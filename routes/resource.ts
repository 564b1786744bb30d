import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import type { Identified } from '../protocol/change.ts'
import { ChangeStreamError } from '../protocol/errors.ts'
import { clip } from '../protocol/json.ts'
import { assertConditions } from '../repository/conditions.ts'
import type { Repository, Saved, Versioned } from '../repository/repository.ts'
import { invalidBody } from '../repository/resource.ts'
import { takeJson } from './body.ts'
import { sayCaching } from './caching.ts'
import { etag, isKnown, readConditions } from './etag.ts'
import { jsonType, listJson, readListRequest } from './list.ts'
import { ownPath } from './own-path.ts'
import { waitForTurn } from './pipelining.ts'
import { problemHandler } from './problem.ts'
import { routeSchemas } from './schemas.ts'
import { untilGone } from './until-gone.ts'
import { isUpgrade } from './upgrade.ts'

export interface ResourceRoutesOptions {
  /** Where the collection is, `/people`. */
  readonly path: string
  /** The most records that one POST may bring. */
  readonly maxBatch: number
  /** The most JSON in a page of a list, bytes. */
  readonly maxPage: number
}

interface ItemRoute { Params: { id: string } }

const hidden: FastifySchema & { hide: boolean } = { hide: true } // of @fastify/swagger

/** REST for a resource (contract §2). Bodies are checked by the repository, so that the same holds in process. */
export function resourceRoutes (app: FastifyInstance, repository: Repository, { path, maxBatch, maxPage }: ResourceRoutesOptions): void {
  const { resource } = repository
  const item = `${path}/:id`
  const schemas = routeSchemas(resource)
  takeJson(app)
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => JSON.stringify)
  app.setErrorHandler(problemHandler)
  app.addHook('onRequest', waitForTurn)
  app.addHook('onRequest', (request, reply, done) => {
    if (!isUpgrade(request.raw)) return done()
    reply.header('Connection', 'close')
    done(new ChangeStreamError('upgrade-refused', `${request.url} does not upgrade; the stream of changes does`))
  })

  app.get(path, { schema: schemas.list }, async (request, reply) => {
    const { query, addressOf } = readListRequest(request.url, resource.properties, maxPage)
    const gone = untilGone(reply)
    const page = await repository.list(query, gone).catch((error: unknown) => {
      if (!gone.aborted) throw error
    })
    if (!page) return reply.hijack() // nobody is there to be told
    const { items, next, cursor } = page
    if (next) reply.header('Link', `<${addressOf(next)}>; rel="next"`)
    return sayCaching(reply, 'no-cache').header('Change-Cursor', cursor).header('Content-Type', jsonType).send(listJson(items))
  })

  const get = async (request: FastifyRequest<ItemRoute>, reply: FastifyReply): Promise<FastifyReply> => {
    const conditions = readConditions(request.headers)
    const found = await repository.get(request.params.id)
    if (!found) throw new ChangeStreamError('not-found', `there is no ${resource.noun} ${clip(request.params.id)}`)
    assertConditions(found, { ifMatch: conditions.ifMatch }) // before If-None-Match (RFC 9110, 13.2.2)
    sayCaching(reply, 'no-cache')
    if (isKnown(found.version, conditions)) return reply.code(304).header('ETag', etag(found.version)).send()
    return sendRecord(reply, found)
  }
  app.get<ItemRoute>(item, { schema: schemas.get, exposeHeadRoute: false }, get)
  const { exposeHeadRoutes } = app.initialConfig as { exposeHeadRoutes?: boolean }
  if (exposeHeadRoutes !== false) app.head<ItemRoute>(item, { schema: hidden }, get) // Fastify's own says Content-Length: 0 of a 304

  app.post(path, { schema: schemas.create }, async (request, reply) => {
    const { body, url } = request
    if (Array.isArray(body)) return sendBatch(reply, await repository.createAll(batch(body, maxBatch)))
    const saved = await repository.create(bodyWithoutId(body))
    return sendSaved(reply.code(201).header('Location', locationOf(url, saved.id)), saved)
  })

  app.put<ItemRoute>(item, { schema: schemas.replace }, async (request, reply) => {
    const saved = await repository.replace(request.params.id, request.body as Identified, readConditions(request.headers))
    return sendSaved(reply.code(saved.created ? 201 : 200), saved)
  })

  app.patch<ItemRoute>(item, { schema: schemas.patch }, async (request, reply) => {
    return sendSaved(reply, await repository.patch(request.params.id, request.body, readConditions(request.headers)))
  })

  app.delete<ItemRoute>(item, { schema: schemas.remove }, async (request, reply) => {
    const { cursor } = await repository.delete(request.params.id, readConditions(request.headers))
    return reply.code(204).header('Change-Cursor', cursor).send()
  })
}

function sendRecord (reply: FastifyReply, { version, json: text }: Versioned): FastifyReply {
  return reply.header('ETag', etag(version)).header('Content-Type', jsonType).send(text)
}

function sendSaved (reply: FastifyReply, saved: Saved): FastifyReply {
  return sendRecord(reply.header('Change-Cursor', saved.cursor), saved)
}

function sendBatch (reply: FastifyReply, saved: readonly Saved[]): FastifyReply {
  const cursor = saved.at(-1)?.cursor
  return reply.code(201).header('Change-Cursor', cursor).header('Content-Type', jsonType).send(listJson(saved))
}

function batch (bodies: readonly unknown[], maxBatch: number): Identified[] {
  if (bodies.length === 0) throw invalidBody([{ path: '', message: 'must have at least one record' }])
  if (bodies.length > maxBatch) throw new ChangeStreamError('too-large', `a batch holds at most ${maxBatch} records, not ${bodies.length}`)
  return bodies.map((body, index) => bodyWithoutId(body, `/${index}`))
}

function bodyWithoutId (body: unknown, at = ''): Identified {
  if (typeof body === 'object' && body !== null && Object.hasOwn(body, 'id')) throw invalidBody([{ path: `${at}/id`, message: 'is given by the server' }])
  return body as Identified
}

/** The address of a record in the collection that `url` names. */
function locationOf (url: string, id: string): string {
  const path = ownPath(url)
  return `${path.endsWith('/') ? path.slice(0, -1) : path}/${id}`
}

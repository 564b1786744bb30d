import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { problems } from './errors.ts'
import { kinds } from './filter.ts'

/** The WebSocket subprotocol of the JSON reader (contract §3.2). */
export const subprotocol = 'change-stream.v1'

const literals = <T extends string>(values: readonly T[], description: string) =>
  Type.Unsafe<T>(Type.Union(values.map(value => Type.Literal(value)), { description }))
const cursor = Type.String({ description: 'Everything up to here has been seen; opaque' })
const kind = literals(kinds, 'Which kinds of change are told; deletes covers leaves')
const where = Type.Unknown({ description: 'Which records are told of; null for all' })
const fields = Type.Array(Type.String(), { description: 'Which properties are told, besides id' })
const record = Type.Object({ id: Type.String() }, { additionalProperties: true, description: 'fields applied' })

/** A filter as the server tells it. */
export const FilterState = Type.Object({
  filter: kind,
  where,
  fields: Type.Union([fields, Type.Null()])
}, { title: 'FilterState', additionalProperties: false })

const change = { id: Type.String(), position: Type.Integer({ minimum: 0 }), at: Type.String({ format: 'date-time' }) }

/** A change as the JSON, SSE and feed readers get it. */
export const ChangeMessage = Type.Union([
  Type.Object({ op: Type.Literal('save'), ...change, version: Type.String({ description: "The record's ETag" }), record }, { additionalProperties: false }),
  Type.Object({ op: Type.Literal('delete'), ...change }, { additionalProperties: false }),
  Type.Object({ op: Type.Literal('leave'), ...change, reason: literals(['changed', 'filter', 'revoked'], 'Why it is no longer in view') }, { additionalProperties: false })
], { title: 'Change' })

const message = <T extends string, P extends Record<string, TSchema>>(type: T, properties: P, description: string) =>
  Type.Object({ type: Type.Literal(type), ...properties }, { additionalProperties: false, description })

/** What the server sends, by `type`. */
export const serverMessages = {
  ready: message('ready', { cursor, filter: FilterState }, 'First: every change after the cursor will be considered'),
  snapshot: message('snapshot', { records: Type.Array(record) }, 'Some of the records that match at the cursor of ready, or of the reset'),
  synced: message('synced', { cursor }, 'The snapshot or the replay is complete; from here it is live'),
  changes: message('changes', { changes: Type.Array(ChangeMessage, { minItems: 1 }), cursor }, 'Changes, in order'),
  filtered: message('filtered', { cursor, filter: FilterState }, 'Changes after the cursor go by the new filter'),
  bookmark: message('bookmark', { cursor }, 'Nothing else was sent for a heartbeat'),
  reset: message('reset', { reason: Type.String() }, 'The view must be dropped; a snapshot follows'),
  error: message('error', { code: literals(Object.keys(problems) as (keyof typeof problems)[], 'Which problem'), message: Type.String() }, 'A message was bad, or why a close follows'),
  bye: message('bye', { cursor, retryAfter: Type.Integer({ minimum: 0, description: 'Milliseconds' }) }, 'The server is going away; a close follows')
} as const

export const ServerMessage = Type.Union(Object.values(serverMessages), { title: 'ServerMessage' })

const FilterRequest = Type.Object({
  type: Type.Literal('filter'),
  filter: Type.Optional(Type.Union([kind, Type.Null()])),
  where: Type.Optional(where),
  fields: Type.Optional(Type.Union([fields, Type.Null()]))
}, { additionalProperties: false, description: 'What is left out stays as it was, null is none' })

const StopRequest = Type.Object({ type: Type.Literal('stop') }, { additionalProperties: false, description: 'The server closes and sends nothing more' })

/** What a JSON client sends. */
export const ClientMessage = Type.Union([FilterRequest, StopRequest], { title: 'ClientMessage' })

/** A page of the log (contract §3.4). */
export const FeedPage = Type.Object({
  changes: Type.Array(ChangeMessage),
  cursor,
  more: Type.Boolean({ description: 'Whether the log goes on behind the cursor' })
}, { title: 'FeedPage', additionalProperties: false })

export type ChangeMessage = Static<typeof ChangeMessage>
export type ServerMessage = Static<typeof ServerMessage>
export type ClientMessage = Static<typeof ClientMessage>
export type FeedPage = Static<typeof FeedPage>
/** The messages besides `changes`. */
export type ControlMessage = Exclude<ServerMessage, { type: 'changes' }>

/** JSON Schemas of everything that goes over the wire, made of the types above. */
export const jsonSchemas = { Change: ChangeMessage, FilterState, ServerMessage, ClientMessage, FeedPage } as const

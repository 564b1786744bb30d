import { type Cursor, parseCursor } from '../protocol/cursor.ts'
import { ChangeStreamError } from '../protocol/errors.ts'
import { clip, show } from '../protocol/json.ts'
import { type Filter, everything, parseKinds, refine } from '../protocol/filter.ts'
import { subprotocol } from '../protocol/messages.ts'
import type { Properties } from '../protocol/properties.ts'
import type { Since } from '../stream/history.ts'
import { preferred } from './accept.ts'
import { readCount, readJson, readQuery } from './query.ts'

/** The ways to read the stream (contract §3). */
export type ReaderName = 'text' | 'json' | 'sse' | 'feed'

/** What a request to the stream asks for, read and checked. */
export interface StreamRequest {
  readonly reader: ReaderName
  readonly filter: Filter
  readonly since: Since
  /** Whether a snapshot comes where there is nothing to resume from. */
  readonly snapshot: boolean
  /** Of a feed: the most changes, and milliseconds to wait for the first. */
  readonly limit: number
  readonly wait: number
}

interface Asked {
  readonly url: string
  readonly isUpgrade: boolean
  readonly headers: { readonly accept?: string | undefined, readonly 'sec-websocket-protocol'?: string | undefined, readonly 'last-event-id'?: string | string[] | undefined }
}

const parameters = ['filter', 'where', 'fields', 'since', 'snapshot'] as const
const feedParameters = [...parameters, 'limit', 'wait'] as const
/** The longest that a feed may wait, milliseconds. */
export const longestWait = 60_000

/** @throws {ChangeStreamError} naming what can't be had */
export function readStreamRequest ({ url, isUpgrade, headers }: Asked, properties: Properties): StreamRequest {
  const reader = isUpgrade ? socketReader(headers['sec-websocket-protocol']) : responseReader(headers.accept)
  const query = readQuery(url, reader === 'feed' ? feedParameters : parameters)
  if (reader === 'text') refuse(query, ['snapshot', 'fields'], `the text reader; ask for the subprotocol ${subprotocol}`)
  if (reader === 'feed') refuse(query, ['snapshot'], 'the feed; a list gives the records and the cursor to go on from')
  const since = readSince(query.since ?? 'now', 'since')
  const lastEventId = reader === 'sse' ? [headers['last-event-id']].flat()[0] : undefined
  return {
    reader,
    since: lastEventId ? readSince(lastEventId, 'Last-Event-ID') : since, // an empty one is none: who has no id yet sends none (HTML, 9.2.3)
    snapshot: readFlag('snapshot', query.snapshot),
    filter: refine(everything, {
      ...(query.filter !== undefined && { filter: parseKinds(query.filter) }),
      ...(query.where !== undefined && { where: readJson(query.where) }),
      ...(query.fields !== undefined && { fields: query.fields })
    }, properties),
    limit: readCount('limit', query.limit, { least: 1, most: 10_000, otherwise: 1000 }),
    wait: readCount('wait', query.wait, { least: 0, most: longestWait / 1000, otherwise: 0 }) * 1000
  }
}

function socketReader (offered: string | undefined): 'text' | 'json' {
  if (offered === undefined) return 'text'
  if (offered.split(',').some(name => name.trim() === subprotocol)) return 'json'
  throw new ChangeStreamError('invalid-header', `Sec-WebSocket-Protocol must be ${subprotocol}, or left out for text; not ${clip(offered)}`)
}

function responseReader (accept: string | undefined): 'sse' | 'feed' {
  const kind = preferred(accept)
  if (kind === null) throw new ChangeStreamError('not-acceptable', `there is text/event-stream, application/json, and WebSocket; not ${clip(accept ?? '')}`)
  return kind === 'events' ? 'sse' : 'feed'
}

function refuse<K extends string> (query: Partial<Record<K, string>>, names: readonly K[], where: string): void {
  for (const name of names) if (query[name] !== undefined) throw new ChangeStreamError('invalid-query', `there is no ${name} on ${where}`)
}

function readSince (text: string, name: string): Cursor | 'start' | 'now' {
  const since = text === 'start' || text === 'now' ? text : parseCursor(text)
  if (!since) throw new ChangeStreamError('invalid-cursor', `${name} must be a cursor, now or start, not ${show(text)}`)
  return since
}

function readFlag (name: string, text: string | undefined): boolean {
  if (text === undefined || text === 'false') return false
  if (text !== 'true') throw new ChangeStreamError('invalid-query', `${name} must be true or false, not ${show(text)}`)
  return true
}

import type { Log } from '../protocol/log.ts'
import type { ControlMessage } from '../protocol/messages.ts'
import { deflatedFrame, textFrame } from './frame.ts'
import { type Told, toldJson } from './told.ts'

/** Names positions. */
export type Cursors = Pick<Log, 'cursor'>

/** A change as one reader gets it, encoded once for all who get it so. */
export interface Fragment {
  readonly position: number
  readonly bytes: Buffer
}

/** One way to read the stream: how changes and messages become bytes (contract §3.1 to §3.3). */
export interface Reader {
  readonly name: string
  encode (told: Told, log: Cursors): Buffer
  /** The bytes that carry `fragments` to a connection; any number of connections may be sent the same. */
  join (fragments: readonly Fragment[], log: Cursors): Buffer
  /** The same for one connection alone, which is not worth compressing for. */
  joinForOne (fragments: readonly Fragment[], log: Cursors): Buffer
  /** The bytes of a `snapshot` message; `texts` are the records as JSON. */
  records (texts: readonly string[]): Buffer
  /**
   * The bytes of a message, or `null` where this reader has no such message.
   * @param resumable whether all before the message's cursor has been sent, so that a client may come back with it
   */
  message (message: ControlMessage, resumable: boolean): Buffer | null
}

const nothing = Buffer.alloc(0)

function snapshotJson (texts: readonly string[]): string {
  return `{"type":"snapshot","records":[${texts.join()}]}`
}

/** How the payloads that many sockets share are framed. */
export type Framing = 'plain' | 'deflated'

const framings = { plain: textFrame, deflated: deflatedFrame } as const

/** A frame a change: `Saved person [<id>] <record>` (contract §3.1). */
export function textReader (noun: string, framing: Framing = 'plain'): Reader {
  const frame = framings[framing]
  return {
    name: `text ${framing}`,
    encode: ({ op, id, record }) => frame(Buffer.from(
      op === 'save' ? `Saved ${noun} [${id}] ${record}` : `${op === 'delete' ? 'Deleted' : 'Left'} ${noun} [${id}]`
    )),
    join: concatenated,
    joinForOne: concatenated,
    records: () => nothing, // it has no snapshots
    message: message => message.type === 'error' ? textFrame(Buffer.from(`Error [${message.code}] ${message.message}`)) : null
  }
}

const changesStart = Buffer.from('{"type":"changes","changes":[')
const comma = Buffer.from(',')

/** JSON frames; several changes share one (contract §3.2). */
export function jsonReader (framing: Framing = 'plain'): Reader {
  const frame = framings[framing]
  return {
    name: `json ${framing}`,
    encode: told => Buffer.from(toldJson(told)),
    join: (fragments, log) => frame(changesJson(fragments, log)),
    joinForOne: (fragments, log) => textFrame(changesJson(fragments, log)),
    records: texts => textFrame(Buffer.from(snapshotJson(texts))),
    message: message => textFrame(Buffer.from(JSON.stringify(message)))
  }
}

function changesJson (fragments: readonly Fragment[], log: Cursors): Buffer {
  const parts: Buffer[] = [changesStart]
  for (const { bytes } of fragments) parts.push(bytes, comma)
  parts[parts.length - 1] = Buffer.from(`],"cursor":"${log.cursor(fragments.at(-1)?.position ?? 0)}"}`)
  return Buffer.concat(parts)
}

/** An EventSource keeps `retry` for good, and would try again and again without a pause, milliseconds. */
const shortestRetry = 1000

/** Server-sent events, an event a change (contract §3.3; HTML, 9.2). */
export const sseReader: Reader = {
  name: 'sse',
  encode: (told, log) => Buffer.from(`event: ${told.op}\nid: ${log.cursor(told.position)}\ndata: ${toldJson(told)}\n\n`),
  join: concatenated,
  joinForOne: concatenated,
  records: texts => Buffer.from(`event: snapshot\ndata: ${snapshotJson(texts)}\n\n`),
  message (message, resumable) {
    const id = 'cursor' in message && resumable ? `id: ${message.cursor}\n` : ''
    const forget = message.type === 'reset' ? 'id\n' : '' // the browser must not come back with the old cursor
    const retry = message.type === 'bye' ? `retry: ${Math.max(message.retryAfter, shortestRetry)}\n` : ''
    return Buffer.from(`event: ${message.type}\n${id}${forget}${retry}data: ${JSON.stringify(message)}\n\n`)
  }
}

function concatenated (fragments: readonly Fragment[]): Buffer {
  const [first] = fragments
  return fragments.length === 1 && first ? first.bytes : Buffer.concat(fragments.map(fragment => fragment.bytes))
}

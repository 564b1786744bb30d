import { once } from 'node:events'
import { type Socket, connect } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { AnswerReader } from './answers.ts'
import { Finding } from './finding.ts'
import { FrameJudge } from './frame-judge.ts'

export interface Exchange {
  readonly port: number
  /** What is written, one write each. */
  readonly pieces: readonly Buffer[]
  /**
   * Until when to wait: for so many answers; for the pong to the last ping, or a close frame; until the server closes, after
   * our end has been closed (`half-close`, as far as patience goes); or for nothing (`reset`).
   */
  readonly until: number | 'pong' | 'half-close' | 'reset'
  /** Whether the answer with this index is to a HEAD. */
  readonly isHead?: (index: number) => boolean
  /** Whether to wait for the first answer before the pieces behind the first are written. */
  readonly patient?: boolean
}

const patience = 10_000 // milliseconds: for what must come
const indulgence = 1500 // milliseconds: for what need not end

/** Payload of the ping whose pong says that all before it has been read. */
export const lastPing = 'the last'

/** Plays one connection from its start to its end, judges the frames on it, and returns the answers. */
export async function exchange (wanted: Exchange): Promise<AnswerReader> {
  const { port, pieces, until, patient, isHead } = wanted
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  const reader = new AnswerReader()
  const frames = new FrameJudge(() => reader.answers.at(-1)?.headers.has('sec-websocket-protocol') === true)
  if (isHead) reader.isHead = isHead
  let failed: unknown
  socket.on('error', () => {}).on('data', chunk => {
    try {
      reader.take(chunk)
      if (reader.state === 'upgraded') frames.take(reader.rest.length > 0 ? reader.rest : Buffer.alloc(0))
      if (reader.state === 'upgraded' || reader.state === 'stream') reader.rest = Buffer.alloc(0)
    } catch (error) {
      failed ??= error
    }
  })
  const ended = new Promise<void>(resolve => socket.once('end', resolve).once('close', () => resolve()))
  const came = (condition: () => boolean): Promise<boolean> => waited(socket, ended, () => failed !== undefined || condition())
  try {
    for (const [index, piece] of pieces.entries()) {
      if (socket.destroyed || socket.readableEnded) break
      if (index === 1 && patient) await came(() => reader.answers.length > 0)
      if (!socket.write(piece)) await Promise.race([once(socket, 'drain').catch(() => {}), ended])
      if (pieces.length > 1 && index % 4 === 0) await turn()
    }
    const isOver = typeof until === 'number'
      ? await came(() => reader.answers.length >= until || reader.state === 'stream')
      : until === 'pong' ? await came(() => frames.closed || frames.pongs.includes(lastPing)) : until === 'reset' || await halfClosed(socket, ended, reader)
    reader.end()
    if (!isOver) throw new Finding('no answer', `${reader.answers.length} answers, then nothing for ${patience} ms`)
  } finally {
    if (until === 'reset') await turn()
    if (socket.pending || socket.writableEnded) socket.destroy() // a reset behind an end leaves Node without an end of its own
    else socket.resetAndDestroy()
  }
  if (failed !== undefined) throw failed
  return reader
}

/** Whether `condition` came about, or the server closed, before patience was at an end. */
async function waited (socket: Socket, ended: Promise<void>, condition: () => boolean): Promise<boolean> {
  if (condition()) return true
  return await new Promise<boolean>(resolve => {
    const timer = setTimeout(resolve, patience, false)
    const done = (): void => {
      clearTimeout(timer)
      resolve(true)
    }
    socket.on('data', () => { if (condition()) done() })
    ended.then(done)
  })
}

async function halfClosed (socket: Socket, ended: Promise<void>, reader: AnswerReader): Promise<boolean> {
  socket.end()
  const timer = new Promise<void>(resolve => { setTimeout(resolve, reader.state === 'stream' ? 10 : indulgence).unref() })
  await Promise.race([ended, timer])
  return true
}

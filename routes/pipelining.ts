import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ChangeStreamError } from '../protocol/errors.ts'

/** How many requests may wait on one connection for those before them. */
const mostWaiting = 64

/** How long the requests of a connection that wait are taken in one turn of the event loop, milliseconds. */
const slice = 5

/** The requests of a connection that wait, by their answers, and until when they are taken in the present turn of the event loop, on `performance.now()`'s clock. */
interface Line { readonly waiting: Set<ServerResponse>, until: number }

const lines = new WeakMap<Socket, Line>()

/**
 * A hook, `onRequest`: lets a request that was sent before the answer to an earlier one (HTTP/1.1 pipelining; RFC 9112, 9.3.2) wait for its turn, so that
 * one connection has one answer in memory at a time, and holds the event loop no longer than `slice` and one request. Those beyond `mostWaiting` are refused as
 * `too-many`. It costs requests nothing that have the connection for themselves, as those of HTTP/2 and of `inject` do.
 */
export function waitForTurn ({ raw: { socket } }: FastifyRequest, { raw }: FastifyReply, done: (error?: Error) => void): void {
  if (raw.socket !== null) return done()
  if (socket.destroyed) return forget(raw) // while an earlier hook was at work
  const line = lines.get(socket) ?? startLine(socket)
  const { waiting } = line
  if (waiting.size >= mostWaiting) return done(new ChangeStreamError('too-many', `at most ${mostWaiting} requests may wait on a connection`, { retryAfter: 1000 }))
  waiting.add(raw)
  const begin = (): void => { if (waiting.delete(raw)) done() }
  raw.once('socket', () => {
    if (performance.now() < line.until) return begin()
    setImmediate(() => {
      line.until = performance.now() + slice
      begin()
    })
  })
}

function startLine (socket: Socket): Line {
  const waiting = new Set<ServerResponse>()
  const line = { waiting, until: 0 }
  lines.set(socket, line)
  socket.once('close', () => {
    for (const response of waiting) {
      waiting.delete(response)
      forget(response)
    }
  })
  return line
}

/** Node tells only the response that has the connection that this is gone; who waits for another's end must hear of it too. */
function forget (response: ServerResponse): void {
  response.destroy()
  response.emit('close')
}

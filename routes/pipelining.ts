import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ChangeStreamError } from '../protocol/errors.ts'

/** How many requests may wait on one connection for those before them. */
const mostWaiting = 64

const lines = new WeakMap<Socket, Set<ServerResponse>>()

/**
 * A hook, `onRequest`: lets a request that was sent before the answer to an earlier one (HTTP/1.1 pipelining; RFC 9112, 9.3.2) wait for its turn, so that
 * one connection has one answer in memory at a time. Those beyond `mostWaiting` are refused as `too-many`. It costs requests nothing that have the
 * connection for themselves, as those of HTTP/2 and of `inject` do.
 */
export function waitForTurn ({ raw: { socket } }: FastifyRequest, { raw }: FastifyReply, done: (error?: Error) => void): void {
  if (raw.socket !== null) return done()
  const line = lines.get(socket) ?? startLine(socket)
  if (line.size >= mostWaiting) return done(new ChangeStreamError('too-many', `at most ${mostWaiting} requests may wait on a connection`, { retryAfter: 1000 }))
  line.add(raw)
  raw.once('socket', () => {
    if (line.delete(raw)) done()
  })
}

function startLine (socket: Socket): Set<ServerResponse> {
  const line = new Set<ServerResponse>()
  lines.set(socket, line)
  socket.once('close', () => {
    for (const response of line) {
      line.delete(response)
      response.destroy()
      response.emit('close') // Node tells only the response that has the connection; who waits for this one's end must hear of it too
    }
  })
  return line
}

import type { FastifyReply, FastifyRequest } from 'fastify'
import { ChangeStreamError } from '../protocol/errors.ts'

/**
 * Waits until the earlier requests of the connection have been answered, and the peer has taken the answers: a peer that
 * sends many requests at once (RFC 9112, 9.3.2) and reads nothing has one answer waiting for it in memory, not all.
 */
export function turnToAnswer (_: FastifyRequest, reply: FastifyReply, done: () => void): void {
  if (reply.raw.socket === null) reply.raw.once('socket', () => done())
  else done()
}

/** Aborted when the peer has gone, or been answered. */
export function untilGone (reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => controller.abort(new ChangeStreamError('unavailable', 'nobody waits for the answer any more')))
  return controller.signal
}

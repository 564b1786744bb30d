import type { FastifyReply } from 'fastify'
import { ChangeStreamError } from '../protocol/errors.ts'

/** Aborted when the peer has gone, or been answered. */
export function untilGone (reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => controller.abort(new ChangeStreamError('unavailable', 'nobody waits for the answer any more')))
  return controller.signal
}

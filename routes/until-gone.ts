import type { FastifyReply } from 'fastify'
import { ChangeStreamError } from '../protocol/errors.ts'

/** Aborted when the peer has gone, or been answered. */
export function untilGone (reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  const abort = (): void => controller.abort(new ChangeStreamError('unavailable', 'nobody waits for the answer any more'))
  if (reply.raw.destroyed) abort()
  else reply.raw.once('close', abort)
  return controller.signal
}

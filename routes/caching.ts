import type { FastifyReply } from 'fastify'

/**
 * Says how an answer may be kept (RFC 9111, 5.2.2), unless a hook of the app's has: `no-cache` is asked for again each time, `no-store` is not kept. Where nothing is
 * said, a cache may keep an answer for as long as it thinks fit.
 */
export function sayCaching (reply: FastifyReply, directive: 'no-cache' | 'no-store'): FastifyReply {
  return reply.hasHeader('Cache-Control') ? reply : reply.header('Cache-Control', directive)
}

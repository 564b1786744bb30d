import type { IncomingMessage } from 'node:http'
import type { FastifyReply } from 'fastify'

/** Whether a request has come with an `Upgrade` that the server took up: it has the connection for itself then. */
export function isUpgrade (raw: IncomingMessage): boolean {
  return 'upgrade' in raw && raw.upgrade === true
}

/** Closes the connection of an upgrade that is refused, once the answer has been sent; nobody else does. */
export function closeAfter (reply: FastifyReply): void {
  const { socket } = reply.request.raw
  reply.header('Connection', 'close')
  reply.raw.once('finish', () => socket.destroySoon())
}

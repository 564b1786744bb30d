import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { pathOf } from './upgrade.ts'

/**
 * From now on cuts the connection of an EventSource that comes back to `path`: it tries again then. At the 503 that Fastify
 * answers while it closes it would give up for good (HTML, 9.2.3).
 */
export function cutEventSources (app: FastifyInstance, path: string): void {
  const pathIn = pathOf(app)
  const own = pathIn(path)
  app.server.prependListener('request', ({ url, headers, socket }: IncomingMessage) => {
    if (headers.accept?.includes('text/event-stream') && pathIn(url) === own) socket.destroy()
  })
}

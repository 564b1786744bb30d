import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { FastifyInstance } from 'fastify'
import { preferred } from '../routes/accept.ts'

const refusedStream = 7 // RFC 9113, 7: it may be tried again

/**
 * Makes the app's scope cut the EventSources that come back to one of its routes once the returned function was called: they try again then. At the 503 that
 * Fastify answers while it closes they would give up for good (HTML, 9.2.3). Which requests are for the scope is the router's to say: a logger for each is the
 * first that Fastify makes of one that it has routed, on whichever of its servers it came, and it does so also while it closes.
 */
export function eventSourceCutter (scope: FastifyInstance): () => void {
  let state: 'open' | 'closing' = 'open'
  const makeLogger = scope.childLoggerFactory
  scope.setChildLoggerFactory(function (logger, bindings, options, request) {
    if (state === 'closing' && preferred(request.headers.accept) === 'events') cut(request)
    return makeLogger.call(this, logger, bindings, options, request)
  })
  return () => { state = 'closing' }
}

function cut (request: IncomingMessage): void {
  if ('stream' in request) (request as unknown as Http2ServerRequest).stream.close(refusedStream)
  else request.socket.destroy()
}

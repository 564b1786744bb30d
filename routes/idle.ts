import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'

/** What can be idle for too long: a socket, or the session of many HTTP/2 streams. */
interface Timed { readonly destroyed: boolean, setTimeout (milliseconds: number): unknown }

/** For how many each connection is kept open, and the timeout that it has to be given back. */
const kept = new WeakMap<Timed, { count: number, readonly timeout: number }>()

/**
 * Lets the connection of a request be idle for as long as it likes: a stream has nothing to send at times, and an app's `connectionTimeout` or
 * `http2SessionTimeout` is not meant for it.
 * @param sessionTimeout what an HTTP/2 session has, which does not tell its own, milliseconds
 * @returns makes it as it was before; to be called when the answer is finished or closed, or both, before Node sets the time for which it keeps a connection alive
 */
export function mayBeIdle (request: IncomingMessage, sessionTimeout: number): () => void {
  const session = 'stream' in request ? (request as unknown as Http2ServerRequest).stream.session : undefined
  const timed: Timed | undefined = session ?? request.socket
  if (timed === undefined || !('setTimeout' in timed)) return () => {} // injected
  const entry = kept.get(timed) ?? { count: 0, timeout: session ? sessionTimeout : request.socket.timeout ?? 0 }
  kept.set(timed, entry)
  entry.count++
  timed.setTimeout(0)
  let state: 'kept' | 'given back' = 'kept'
  return () => {
    if (state === 'given back') return
    state = 'given back'
    if (--entry.count > 0) return
    kept.delete(timed)
    if (!timed.destroyed) timed.setTimeout(entry.timeout)
  }
}

import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Problem, problemType } from '../plugin/index.ts'

/** Why a request that could not be read is refused; 400 where it is none of these. */
const clientErrors: Readonly<Record<string, number>> = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_CHUNK_EXTENSIONS_OVERFLOW: 413, HPE_HEADER_OVERFLOW: 431 }

/** Refuses a request that got to no route: RFC 9457, with no type but the status. */
export function refuse (reply: FastifyReply, status: number, detail: string): FastifyReply {
  return reply.code(status).header('Content-Type', problemType).send(JSON.stringify(problem(status, detail)))
}

/** What nothing is found for: 405 and the methods there are where the address is one (RFC 9110, 15.5.6), else 404. */
export function notFound (this: FastifyInstance, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { method, url } = request
  const methods = this.supportedMethods.filter(method => this.findRoute({ method, url }) !== null)
  if (methods.length === 0) return refuse(reply, 404, `there is nothing at ${url}`)
  const allowed = methods.sort().join(', ')
  return refuse(reply.header('Allow', allowed), 405, `${method} is not among ${allowed}`)
}

/** What Fastify itself refuses besides the routes: an address with a bad escape or too long a part, a body that nothing is found for. */
export function frameworkError (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const { statusCode: status = 500, message } = error
  if (status >= 500) request.log.error({ err: error }, 'a request failed')
  refuse(reply, status, status < 500 ? message : STATUS_CODES[status] ?? 'Failed')
}

/** What is no HTTP, or takes too long: a problem, and the end of the connection. */
export function clientError (error: NodeJS.ErrnoException, socket: Socket): void {
  const { _httpMessage: response } = socket as { _httpMessage?: ServerResponse | null }
  if (error.code === 'ECONNRESET' || !socket.writable || response?.headersSent) {
    socket.destroy()
    return
  }
  const status = clientErrors[error.code ?? ''] ?? 400
  const body = JSON.stringify(problem(status, error.message))
  const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, `Content-Type: ${problemType}`, `Content-Length: ${Buffer.byteLength(body)}`, 'Connection: close']
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

function problem (status: number, detail: string): Problem {
  return { type: 'about:blank', title: STATUS_CODES[status] ?? 'Refused', status, detail }
}

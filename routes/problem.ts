import { STATUS_CODES } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ChangeStreamError, type Problem, type ProblemCode, problemType } from '../protocol/errors.ts'
import { patchTypes, typeRefusal } from './body.ts'
import { sayCaching } from './caching.ts'

/** What Fastify itself refuses a body for, in our words. */
const bodyRefusals: Readonly<Record<number, ProblemCode>> = { 400: 'invalid-body', 413: 'too-large', 415: 'unsupported-media-type' }

/** Answers every error of our routes as RFC 9457 tells, whatever was thrown, and logs those that are the server's. */
export function problemHandler (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = problemOf(error, request)
  log(error, problem, request)
  if (error instanceof ChangeStreamError && error.retryAfter !== undefined) reply.header('Retry-After', Math.ceil(error.retryAfter / 1000))
  if (problem.status === 415 && request.method === 'PATCH') reply.header('Accept-Patch', patchTypes)
  return sayCaching(reply, 'no-store').code(problem.status).header('Content-Type', problemType).send(JSON.stringify(problem))
}

function log (error: unknown, { status, title }: Problem, { log }: FastifyRequest): void {
  const level = status >= 500 ? 'error' : 'debug'
  try {
    log[level]({ err: error }, title)
  } catch {
    log[level](title) // what was thrown can't even be looked at
  }
}

/** The problem of anything that can be thrown. What is no error of ours or of a hook's with a status of its own is the server's fault. */
function problemOf (error: unknown, request: FastifyRequest): Problem {
  try {
    if (error instanceof ChangeStreamError) return error.toProblem()
    const { status, code, message } = told(error)
    const body = bodyRefusals[status]
    if (body && code.startsWith('FST_ERR_CTP')) return (status === 415 ? typeRefusal(request) : new ChangeStreamError(body, message)).toProblem()
    if (status !== 500) {
      const title = STATUS_CODES[status] ?? (status < 500 ? 'Refused' : 'The server failed')
      return { type: 'about:blank', title, status, detail: status < 500 && message !== '' ? message : title } // refused by a hook of the app's
    }
  } catch {} // a getter that throws
  return new ChangeStreamError('internal', 'the server failed').toProblem()
}

/** What an error of Fastify's, or of an app's, says of itself, as far as it makes sense. */
function told (error: unknown): { status: number, code: string, message: string } {
  const { statusCode, status, code, message } = Object(error) as Readonly<Record<string, unknown>>
  const given = [statusCode, status].find(value => typeof value === 'number' && Number.isInteger(value) && value >= 400 && value <= 599)
  return { status: typeof given === 'number' ? given : 500, code: typeof code === 'string' ? code : '', message: typeof message === 'string' ? message : '' }
}

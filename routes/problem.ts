import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { ChangeStreamError, type Problem, type ProblemCode } from '../protocol/errors.ts'

const mediaType = 'application/problem+json; charset=utf-8'

/** What Fastify itself refuses a body for, in our words. */
const bodyRefusals: Readonly<Record<number, ProblemCode>> = { 400: 'invalid-body', 413: 'too-large', 415: 'unsupported-media-type' }

/** Answers every error of our routes as RFC 9457 tells, and logs those that are the server's. */
export function problemHandler (error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = problemOf(error)
  if (problem.status >= 500) request.log.error({ err: error }, problem.title)
  else request.log.debug({ err: error }, problem.title)
  if (error instanceof ChangeStreamError && error.retryAfter !== undefined) reply.header('Retry-After', Math.ceil(error.retryAfter / 1000))
  return sendProblem(reply, problem)
}

export function sendProblem (reply: FastifyReply, problem: Problem): FastifyReply {
  return reply.code(problem.status).header('Content-Type', mediaType).send(JSON.stringify(problem))
}

function problemOf (error: FastifyError | ChangeStreamError): Problem {
  if (error instanceof ChangeStreamError) return error.toProblem()
  const status = error.statusCode !== undefined && error.statusCode >= 400 ? error.statusCode : 500
  const code = bodyRefusals[status]
  if (code && (error.code?.startsWith('FST_ERR_CTP') || error instanceof SyntaxError)) return new ChangeStreamError(code, error.message).toProblem()
  if (error.statusCode === undefined || status === 500) return new ChangeStreamError('internal', error.message).toProblem()
  const title = STATUS_CODES[status] ?? 'Refused'
  return { type: 'about:blank', title, status, detail: status < 500 ? error.message : title } // refused by a hook of the app's
}

import { isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ChangeStreamError } from '../protocol/errors.ts'
import { parseJson } from '../protocol/json.ts'

const json = 'application/json'
const mergePatch = 'application/merge-patch+json'

/** What PATCH takes, for `Accept-Patch` (RFC 5789, 3.1). */
export const patchTypes = `${mergePatch}, ${json}`

/**
 * Makes `app` take JSON in UTF-8, for PATCH as a JSON Merge Patch too, as it is sent, and no other bodies, whatever parsers it has inherited. Names of
 * types and charsets are the same in any case (RFC 9110, 8.3.1 and 8.3.2). An empty body is `undefined`.
 */
export function takeJson (app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser([json, mergePatch], { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    try {
      done(null, read(request, body))
    } catch (error) {
      done(error as ChangeStreamError)
    }
  })
}

/** The refusal of a body's type: says what is taken instead. */
export function typeRefusal ({ method }: FastifyRequest): ChangeStreamError {
  const patch = method === 'PATCH' ? `${mergePatch} and ` : ''
  const hint = method === 'PATCH' ? '' : `; ${mergePatch} is for PATCH`
  return new ChangeStreamError('unsupported-media-type', `${method} takes ${patch}${json} in UTF-8${hint}`)
}

function read (request: FastifyRequest, body: Buffer): unknown {
  const type = request.headers['content-type']
  if (type !== json && !isTaken(type ?? '', request.method)) throw typeRefusal(request)
  if (body.length === 0) return undefined
  if (!isUtf8(body)) throw unreadable(request, 'the body is not UTF-8')
  const text = body.toString()
  try {
    return parseJson(text.startsWith('\ufeff') ? text.slice(1) : text)
  } catch (error) {
    throw unreadable(request, `the body is not JSON that can be read: ${error instanceof Error ? error.message : ''}`)
  }
}

/** A decoder of the app's may have undone an encoding that the header still names; where it has not, the encoding is the reason. */
function unreadable ({ headers }: FastifyRequest, reason: string): ChangeStreamError {
  const encoding = headers['content-encoding']
  if (encoding === undefined || encoding.trim().toLowerCase() === 'identity') return new ChangeStreamError('invalid-body', reason)
  return new ChangeStreamError('unsupported-media-type', 'a body is taken without a Content-Encoding')
}

const parameter = /[\t ]*;[\t ]*(?:([!#$%&'*+.^_`|~\w-]+)=([!#$%&'*+.^_`|~\w-]+|"(?:[^"\\]|\\.)*"))?/y

function isTaken (header: string, method: string): boolean {
  const end = header.indexOf(';')
  const type = (end < 0 ? header : header.slice(0, end)).trim().toLowerCase()
  if (type !== json && !(type === mergePatch && method === 'PATCH')) return false
  for (let at = end; at >= 0 && at < header.trimEnd().length; at = parameter.lastIndex) {
    parameter.lastIndex = at
    const found = parameter.exec(header)
    if (!found) return false
    const [, name, value = ''] = found
    if (name?.toLowerCase() === 'charset' && !/^"?utf-?8"?$/i.test(value)) return false
  }
  return true
}

import { isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ChangeStreamError } from '../protocol/errors.ts'

const json = 'application/json'
const mergePatch = 'application/merge-patch+json'

/** Makes `app` take JSON and JSON Merge Patches as they are sent, and no other bodies, whatever parsers it has inherited. */
export function takeJson (app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser([json, mergePatch], { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    if (body.length === 0) done(null, undefined)
    else if (!isUtf8(body)) done(new ChangeStreamError('invalid-body', 'the body is not UTF-8'))
    else parse(request, body.toString(), done)
  })
}

/** @throws {ChangeStreamError} `unsupported-media-type` for a patch where a whole record is wanted */
export function assertWhole (request: FastifyRequest): void {
  if (request.headers['content-type']?.startsWith(mergePatch)) {
    throw new ChangeStreamError('unsupported-media-type', `${request.method} takes ${json}; ${mergePatch} is for PATCH`)
  }
}

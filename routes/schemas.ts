import type { JsonSchema } from '../protocol/json-schema.ts'
import type { Resource } from '../repository/resource.ts'

/** JSON Schemas of the routes, for whoever documents them, such as @fastify/swagger. They take no part in checking. */
export interface RouteSchemas {
  readonly list: JsonSchema
  readonly get: JsonSchema
  readonly create: JsonSchema
  readonly replace: JsonSchema
  readonly patch: JsonSchema
  readonly remove: JsonSchema
}

const text = { type: 'string' }
const problem = {
  type: 'object',
  description: 'RFC 9457',
  properties: { type: text, title: text, status: { type: 'integer' }, detail: text, errors: { type: 'array', items: { type: 'object', properties: { path: text, message: text } } } }
}

export function routeSchemas ({ name, noun, bodySchema }: Resource): RouteSchemas {
  const { $ref, ...rest } = JSON.parse(JSON.stringify(bodySchema)) as JsonSchema
  const plain = $ref === undefined ? rest : { ...rest, allOf: [{ $ref }, ...[rest['allOf'] ?? []].flat()] } // beside an $id Ajv takes none
  const $id = `urn:change-stream:${name}` // what has references to itself needs a name, and is named once in a document
  const [body, again] = '$defs' in plain ? [{ $id, ...plain }, { $ref: $id }] : [plain, plain]
  const recordOf = (properties: JsonSchema): JsonSchema => ({ allOf: [{ type: 'object', properties: { id: { type: 'string', format: 'uuid' } }, required: ['id'] }, properties] })
  const record = recordOf(body)
  const params = { type: 'object', properties: { id: { type: 'string', format: 'uuid' } }, required: ['id'] }
  const refusals = (...statuses: number[]): Record<number, JsonSchema> => Object.fromEntries(statuses.map(status => [status, problem]))
  const tags = [name]
  return {
    list: {
      tags,
      summary: `List ${name}`,
      querystring: { type: 'object', properties: { where: text, sort: text, limit: { type: 'integer' }, after: text, fields: text } },
      response: { 200: { type: 'array', items: record }, ...refusals(400) }
    },
    get: { tags, summary: `Get a ${noun}`, params, response: { 200: record, ...refusals(404) } },
    create: {
      tags,
      summary: `Create a ${noun}, or several at once`,
      body: { anyOf: [body, { type: 'array', items: again }] },
      response: { 201: { anyOf: [record, { type: 'array', items: recordOf(again) }] }, ...refusals(400, 409, 413) }
    },
    replace: { tags, summary: `Replace a ${noun}`, params, body, response: { 200: record, 201: record, ...refusals(400, 404, 412) } },
    patch: { tags, summary: `Change a ${noun} by a JSON Merge Patch`, params, body: { type: 'object' }, response: { 200: record, ...refusals(400, 404, 412, 415) } },
    remove: { tags, summary: `Delete a ${noun}`, params, response: { 204: { type: 'null' }, ...refusals(404, 412) } }
  }
}

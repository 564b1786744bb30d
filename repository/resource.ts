import type { Static, TSchema } from '@sinclair/typebox'
import type { Identified } from '../protocol/change.ts'
import { type BodyError, ChangeStreamError } from '../protocol/errors.ts'
import { clip, nestingFlaw, setOwn } from '../protocol/json.ts'
import type { JsonSchema } from '../protocol/json-schema.ts'
import { Properties, type WhereLimits } from '../protocol/properties.ts'
import { BodyCheck, type Finding } from './body-check.ts'
import { bodySchema } from './body-schema.ts'
import { countValues, pointerPart, unstorable } from './storable.ts'

/** What a client sends of a record: everything but the `id`, which the server gives. */
export type Body<S extends TSchema> = Static<S>

/** A stored record of a resource. */
export type RecordOf<S extends TSchema> = Identified & Static<S>

export interface ResourceOptions<S extends TSchema = TSchema> {
  /** The collection: its path, its tables, its key in `app.changeStreams`. */
  readonly name: string
  /** One record of it, as the text stream says it: `Saved person […]`. */
  readonly noun: string
  /** An object schema without `id`. */
  readonly schema: S
  /** The most bytes of JSON that a record may be, 1 MiB by default. */
  readonly maxRecord?: number
  /** How large a `where` may be, by default `whereLimits`. */
  readonly limits?: WhereLimits
}

/** The most errors that one request is told of. */
export const mostErrors = 20
/** The most characters of an error's path, which is made of names that a client has chosen. */
const mostPath = 300

/** A resource: its names, its schema, and what the schema means for a body. */
export class Resource<S extends TSchema = TSchema> {
  readonly name: string
  readonly noun: string
  readonly schema: S
  readonly properties: Properties
  readonly maxRecord: number
  /** The schema of bodies as it is documented: `schema` with no property besides its own, where that can be said. */
  readonly bodySchema: JsonSchema
  readonly #check: BodyCheck
  readonly #names: readonly string[]

  /** @throws {TypeError} where the schema is not one of objects, has an `id`, or says what no JSON can fit */
  constructor ({ name, noun, schema, maxRecord = 1_048_576, limits }: ResourceOptions<S>) {
    this.name = name
    this.noun = noun
    this.schema = schema
    this.maxRecord = maxRecord
    const plain = JSON.parse(JSON.stringify(schema)) as JsonSchema
    this.properties = new Properties(plain, limits)
    if (!this.properties.isObject()) throw new TypeError('resource.schema must describe an object, such as Type.Object({ … })')
    this.#names = this.properties.names()
    if (this.#names.includes('id')) throw new TypeError('resource.schema must have no "id": the server gives it')
    const body = bodySchema(plain)
    this.bodySchema = body.schema
    this.#check = new BodyCheck(body)
  }

  /** What is wrong with `body`, by JSON Pointers that start with `at`; nothing if it fits. At most `mostErrors`, of bounded length. */
  errors (body: unknown, at = ''): BodyError[] {
    const values = countValues(body)
    const flaw = values >= 0 ? null : nestingFlaw(body)
    if (flaw !== null) return [{ path: at, message: flaw }]
    if (typeof body === 'object' && body !== null && Object.hasOwn(body, 'id')) return [{ path: `${at}/id`, message: 'is given by the server' }]
    const findings = this.#check.findings(body, values, mostErrors)
    if (findings.length > 0) return told(findings, at)
    return values >= 0 ? [] : unstorable(body, at, mostErrors).map(error => ({ ...error, path: clipPath(error.path) }))
  }

  /** What is wrong with a patch whatever it patches: it is no object, or has what no record can have where the schema lists all it can. */
  patchErrors (patch: unknown): BodyError[] {
    const { properties, patternProperties, additionalProperties } = this.bodySchema
    if (!isPlainObject(patch)) return [{ path: '', message: 'must be object' }]
    const errors: BodyError[] = []
    if (additionalProperties !== false || patternProperties !== undefined || !isPlainObject(properties)) return errors
    for (const name in patch) {
      if (Object.hasOwn(properties, name) || !Object.hasOwn(patch, name) || patch[name] === null) continue
      errors.push({ path: `/${pointerPart(clip(name))}`, message: 'is not a known property' })
      if (errors.length >= mostErrors) break
    }
    return errors
  }

  /** @throws {ChangeStreamError} `invalid-body` */
  check (body: unknown): asserts body is Static<S> {
    const errors = this.errors(body)
    if (errors.length > 0) throw invalidBody(errors)
  }

  /**
   * The record's JSON: `id` first, then its properties in the schema's order.
   * @throws {ChangeStreamError} `too-large` for more than `maxRecord` bytes of it
   * @throws what it throws of a body that can't be written as JSON
   */
  toJson (id: string, body: Readonly<Record<string, unknown>>, what = 'the record'): string {
    const json = this.#json(id, body)
    if (json.length * 3 > this.maxRecord && Buffer.byteLength(json) > this.maxRecord) {
      throw new ChangeStreamError('too-large', `${what} would be larger than the ${this.maxRecord} bytes of JSON that a record holds`)
    }
    return json
  }

  #json (id: string, body: Readonly<Record<string, unknown>>): string {
    if (this.#isInOrder(body)) return JSON.stringify({ id, ...body })
    const record: Record<string, unknown> = { id }
    for (const name of this.#names) if (Object.hasOwn(body, name)) setOwn(record, name, body[name])
    for (const name of Object.keys(body)) if (!Object.hasOwn(record, name)) setOwn(record, name, body[name])
    return JSON.stringify(record)
  }

  #isInOrder (body: Readonly<Record<string, unknown>>): boolean {
    let index = 0
    for (const name in body) {
      while (index < this.#names.length && this.#names[index] !== name) index++
      if (index++ >= this.#names.length) return false
    }
    return true
  }
}

export function invalidBody (errors: readonly BodyError[]): ChangeStreamError {
  const [first] = errors
  const others = errors.length - 1
  const more = others === 0 ? '' : `, and ${errors.length < mostErrors ? '' : 'at least '}${others} more`
  return new ChangeStreamError('invalid-body', `${first?.path || 'the body'} ${first?.message}${more}`, { errors })
}

function told (findings: readonly Finding[], at: string): BodyError[] {
  const telling = findings.filter(isTelling)
  return (telling.length > 0 ? telling : findings).slice(0, mostErrors).map(finding => bodyError(finding, at))
}

/** "must match a schema in anyOf" says nothing beside the errors of the branches. */
function isTelling ({ keyword }: Finding): boolean {
  return keyword !== 'if' && keyword !== 'allOf'
}

function bodyError ({ instancePath, keyword, params, message }: Finding, at: string): BodyError {
  const path = at + clipPath(instancePath)
  if (keyword === 'required') return { path: `${path}/${pointerPart(String(params['missingProperty']))}`, message: 'is required' }
  const unknown: unknown = params['additionalProperty'] ?? params['unevaluatedProperty']
  if (unknown !== undefined) return { path: `${path}/${pointerPart(clip(String(unknown)))}`, message: 'is not a known property' }
  if (keyword === 'const') return { path, message: `must be ${JSON.stringify(params['allowedValue'])}` }
  return { path, message: message ?? 'is not valid' }
}

function clipPath (path: string): string {
  if (path.length <= mostPath) return path
  return `${path.split('/', 20).map(clip).join('/').slice(0, mostPath).toWellFormed()}…`
}

function isPlainObject (value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

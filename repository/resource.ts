import type { Static, TSchema } from '@sinclair/typebox'
import { Ajv2019, type ErrorObject, type ValidateFunction } from 'ajv/dist/2019.js'
import formats from 'ajv-formats'
import type { Identified } from '../protocol/change.ts'
import { type BodyError, ChangeStreamError } from '../protocol/errors.ts'
import { Properties } from '../protocol/properties.ts'

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
}

type JsonSchema = Readonly<Record<string, unknown>>

const mostErrors = 20

/** A resource: its names, its schema, and what the schema means for a body. */
export class Resource<S extends TSchema = TSchema> {
  readonly name: string
  readonly noun: string
  readonly schema: S
  readonly properties: Properties
  readonly maxRecord: number
  /** The schema that bodies are checked against: `schema` with no property besides its own. */
  readonly bodySchema: JsonSchema
  readonly #validate: ValidateFunction
  readonly #names: readonly string[]

  /** @throws {TypeError} where the schema is not one of objects, has an `id`, or says what no JSON can fit */
  constructor ({ name, noun, schema, maxRecord = 1_048_576 }: ResourceOptions<S>) {
    this.name = name
    this.noun = noun
    this.schema = schema
    this.maxRecord = maxRecord
    const plain = JSON.parse(JSON.stringify(schema)) as JsonSchema
    this.properties = new Properties(plain)
    if (!this.properties.isObject()) throw new TypeError('resource.schema must describe an object, such as Type.Object({ … })')
    this.#names = this.properties.names()
    if (this.#names.includes('id')) throw new TypeError('resource.schema must have no "id": the server gives it')
    this.bodySchema = closed(plain)
    this.#validate = compile(this.bodySchema)
  }

  /** What is wrong with `body`, by JSON Pointers that start with `at`; nothing if it fits. */
  errors (body: unknown, at = ''): BodyError[] {
    if (!this.#validate(body)) return (this.#validate.errors ?? []).filter(isTelling).slice(0, mostErrors).map(error => bodyError(error, at))
    return isStorable(body) ? [] : unstorable(body, at)
  }

  /** @throws {ChangeStreamError} `invalid-body` */
  check (body: unknown): asserts body is Static<S> {
    const errors = this.errors(body)
    if (errors.length > 0) throw invalidBody(errors)
  }

  /** The record's JSON: `id` first, then its properties in the schema's order. */
  toJson (id: string, body: Readonly<Record<string, unknown>>): string {
    if (this.#isInOrder(body)) return JSON.stringify({ id, ...body })
    const record: Record<string, unknown> = { id }
    for (const name of this.#names) if (Object.hasOwn(body, name)) record[name] = body[name]
    for (const name of Object.keys(body)) if (!Object.hasOwn(record, name)) Object.defineProperty(record, name, { value: body[name], enumerable: true })
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
  const more = errors.length > 1 ? `, and ${errors.length - 1} more` : ''
  return new ChangeStreamError('invalid-body', `${first?.path || 'the body'} ${first?.message}${more}`, { errors })
}

function compile (schema: JsonSchema): ValidateFunction {
  const ajv = new Ajv2019({ allErrors: true, strictTypes: false, strictTuples: false, strictRequired: false, allowUnionTypes: true })
  formats.default(ajv)
  ajv.addVocabulary(['example', 'externalDocs', 'xml'])
  try {
    return ajv.compile(schema)
  } catch (cause) {
    throw new TypeError(`resource.schema can't be used: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

const branching = ['allOf', 'anyOf', 'oneOf'] as const

/** `schema` with every object in it closed to unknown properties, unless it says itself what else it takes. */
function closed (schema: JsonSchema, withinAllOf = false): JsonSchema {
  const copy: Record<string, unknown> = { ...schema }
  for (const key of branching) if (Array.isArray(copy[key])) copy[key] = copy[key].map(part => closedPart(part, key === 'allOf' || withinAllOf))
  for (const key of ['items', 'additionalItems', 'contains']) if (copy[key] !== undefined) copy[key] = Array.isArray(copy[key]) ? copy[key].map(part => closedPart(part)) : closedPart(copy[key])
  for (const key of ['properties', 'patternProperties', '$defs', 'definitions']) {
    if (isObject(copy[key])) copy[key] = Object.fromEntries(Object.entries(copy[key]).map(([name, part]) => [name, closedPart(part)]))
  }
  if (isObject(copy['additionalProperties'])) copy['additionalProperties'] = closedPart(copy['additionalProperties'])
  const open = copy['additionalProperties'] === undefined && copy['unevaluatedProperties'] === undefined
  if (withinAllOf || !open) return copy
  if (Array.isArray(copy['allOf'])) copy['unevaluatedProperties'] = false
  else if (copy['type'] === 'object' && !isObject(copy['patternProperties'])) copy['additionalProperties'] = false
  return copy
}

function closedPart (part: unknown, withinAllOf = false): unknown {
  return isObject(part) ? closed(part, withinAllOf) : part
}

function isObject (value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** "must match a schema in anyOf" says nothing beside the errors of the branches. */
function isTelling (error: ErrorObject, _: number, all: readonly ErrorObject[]): boolean {
  return all.length === 1 || (error.keyword !== 'if' && error.keyword !== 'allOf')
}

function bodyError ({ instancePath, keyword, params, message }: ErrorObject, at: string): BodyError {
  const path = at + instancePath
  if (keyword === 'required') return { path: `${path}/${pointerPart(params['missingProperty'])}`, message: 'is required' }
  const unknown: unknown = params['additionalProperty'] ?? params['unevaluatedProperty']
  if (unknown !== undefined) return { path: `${path}/${pointerPart(unknown)}`, message: 'is not a known property' }
  if (keyword === 'const') return { path, message: `must be ${JSON.stringify(params['allowedValue'])}` }
  return { path, message: message ?? 'is not valid' }
}

function pointerPart (name: unknown): string {
  return String(name).replaceAll('~', '~0').replaceAll('/', '~1')
}

/** Not every store can keep U+0000, or a surrogate without its other half, and JSON can't keep what `1e400` is read as. */
function isStorable (value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\0')
  if (typeof value !== 'object' || value === null) return true
  for (const key in value) if (!isStorable(key) || !isStorable((value as JsonSchema)[key])) return false
  return true
}

function unstorable (value: unknown, path: string): BodyError[] {
  if (isStorable(value)) return []
  if (typeof value === 'number') return [{ path, message: 'must be a number that can be held' }]
  if (typeof value !== 'object' || value === null) return [{ path, message: 'must be Unicode text without U+0000' }]
  return Object.entries(value).flatMap(([key, item]) => {
    const at = `${path}/${pointerPart(key)}`
    return [...unstorable(key, at), ...unstorable(item, at)]
  })
}

import { type JsonSchema, References, isSchema, schemaMap, schemasOf } from '../protocol/json-schema.ts'

/** A schema made ready to check bodies with: one document whose references all lead into its `$defs`. */
export interface BodySchema {
  readonly schema: JsonSchema
  /**
   * Whether every object is closed by `additionalProperties` already. Where parts of a schema hold of one object together, none of them knows all of
   * its properties, and what is unknown is to be found by evaluation.
   */
  readonly closed: boolean
  /** Whether something in it contains itself. */
  readonly recursive: boolean
}

/**
 * Takes unknown properties away from what `plain` describes.
 * @throws {TypeError} for a reference that leads nowhere or nowhere but back, and what no body can have
 */
export function bodySchema (plain: JsonSchema): BodySchema {
  const { schema, recursive } = new Bundle(plain).make()
  const shapes = new Shapes(schema)
  shapes.forbidLoops()
  return shapes.isSimple(schema) ? { schema: shapes.close(), closed: true, recursive } : { schema, closed: false, recursive }
}

const inPlaceLists = ['allOf', 'anyOf', 'oneOf'] as const
const inPlace = ['if', 'then', 'else', 'not'] as const
const valueSchemas = ['additionalProperties', 'unevaluatedProperties', 'items', 'additionalItems', 'unevaluatedItems', 'contains'] as const
const names = ['$id', '$anchor', '$recursiveAnchor', '$defs', 'definitions', '$recursiveRef', '$ref']

/** Brings what a schema refers to into one `$defs`. */
class Bundle {
  readonly #root: JsonSchema
  readonly #references: References
  readonly #named = new Map<JsonSchema, string>()
  readonly #defs: Record<string, unknown> = {}
  readonly #open: JsonSchema[] = []
  #recursive = false

  constructor (root: JsonSchema) {
    this.#root = root
    this.#references = new References(root)
  }

  make (): { schema: JsonSchema, recursive: boolean } {
    this.#open.push(this.#root)
    const copy = this.#copy(this.#root)
    this.#open.pop()
    const own = this.#named.get(this.#root)
    if (own !== undefined) this.#defs[own] = copy
    const schema = own === undefined ? copy : { $ref: pointer(own) }
    return { schema: this.#named.size > 0 ? { ...schema, $defs: this.#defs } : schema, recursive: this.#recursive }
  }

  #copy (schema: JsonSchema): JsonSchema {
    const copy: Record<string, unknown> = Object.fromEntries(Object.entries(schema).filter(([key]) => !names.includes(key)))
    if ('$dynamicRef' in schema || ('$recursiveRef' in schema && this.#references.isDynamic)) throw unusable('it has a reference that depends on where it is read from')
    const ref = schema['$ref'] ?? schema['$recursiveRef']
    if (ref !== undefined) copy['$ref'] = this.#refer(schema, String(ref))
    for (const key of [...inPlaceLists, 'items']) if (Array.isArray(copy[key])) copy[key] = copy[key].map(part => this.#part(part))
    for (const key of [...inPlace, ...valueSchemas, 'propertyNames']) if (isSchema(copy[key])) copy[key] = this.#part(copy[key])
    for (const key of ['properties', 'patternProperties', 'dependentSchemas', 'dependencies']) {
      if (isSchema(copy[key])) copy[key] = Object.fromEntries(Object.entries(copy[key]).map(([name, part]) => [name, this.#part(part)]))
    }
    const forbidden = [copy['properties'], Object.fromEntries([copy['required'] ?? []].flat().map(name => [name, true]))]
    if (forbidden.some(map => isSchema(map) && Object.hasOwn(map, '__proto__'))) throw unusable('no property may be named __proto__')
    return copy
  }

  #part (part: unknown): unknown {
    return isSchema(part) ? this.#copy(part) : part
  }

  #refer (schema: JsonSchema, ref: string): string {
    const target = this.#references.target(schema)
    if (!target) throw unusable(`can't resolve reference ${ref}`)
    if (this.#open.includes(target)) this.#recursive = true
    const known = this.#named.get(target)
    if (known !== undefined) return pointer(known)
    const { $id } = target
    const free = typeof $id === 'string' && /^[A-Za-z][\w.]*$/.test($id) && !Object.hasOwn(this.#defs, $id)
    const wanted = free ? $id : `part-${this.#named.size}`
    this.#named.set(target, wanted)
    if (target === this.#root) return pointer(wanted)
    this.#open.push(target)
    this.#defs[wanted] = null // keeps the name
    this.#defs[wanted] = this.#copy(target)
    this.#open.pop()
    return pointer(wanted)
  }
}

function pointer (name: string): string {
  return `#/$defs/${name}`
}

/** What a bundled `$ref` leads to. */
export function referred (root: JsonSchema, schema: JsonSchema): JsonSchema | null {
  const { $ref } = schema
  if (typeof $ref !== 'string') return null
  const defs = root['$defs'] as Record<string, JsonSchema>
  return defs[$ref.slice(pointer('').length)] ?? null
}

function unusable (why: string): TypeError {
  return new TypeError(`resource.schema can't be used: ${why}`)
}

const objectWords = ['properties', 'patternProperties', 'additionalProperties', 'unevaluatedProperties'] as const

/** Whether `schema` says what properties an object has. */
export function describes (schema: JsonSchema): boolean {
  return schema['type'] === 'object' || 'properties' in schema || 'patternProperties' in schema
}

/** Tells the schemas that can be closed one by one from those that can't. */
export class Shapes {
  readonly #root: JsonSchema
  readonly #inert = new Map<JsonSchema, boolean>()

  constructor (root: JsonSchema) {
    this.#root = root
  }

  /** Whether there is nothing in `schema` to close, and it closes nothing. */
  isInert (schema: JsonSchema): boolean {
    const known = this.#inert.get(schema)
    if (known !== undefined) return known
    this.#inert.set(schema, true) // as far as is known while it is looked into
    const target = referred(this.#root, schema)
    const inert = ![schema['type']].flat().includes('object') && !objectWords.some(word => word in schema) &&
      [...this.parts(schema), ...itemsOf(schema), ...schemasOf([schema['contains']])].every(part => this.isInert(part)) &&
      (target === null || this.isInert(target))
    this.#inert.set(schema, inert)
    return inert
  }

  /** What holds of the same value as `schema`, besides what it refers to; what must not hold left out. */
  parts (schema: JsonSchema): JsonSchema[] {
    return [
      ...inPlaceLists.flatMap(key => schemasOf(schema[key])),
      ...schemasOf([schema['if'], schema['then'], schema['else']]),
      ...[schema['dependentSchemas'], schema['dependencies']].flatMap(map => schemaMap(map).map(([, part]) => part))
    ]
  }

  /** Whether each object in `schema` is described in one place. */
  isSimple (schema: JsonSchema, seen = new Set<JsonSchema>()): boolean {
    if (seen.has(schema) || this.isInert(schema)) return true
    seen.add(schema)
    const target = referred(this.#root, schema)
    const telling = this.parts(schema).filter(part => !this.isInert(part))
    const [only] = telling
    if (target && !this.isInert(target)) return isAlone(schema, '$ref') && this.isSimple(target, seen)
    if (only) return telling.length === 1 && this.#isChoice(schema, only) && this.isSimple(only, seen)
    if (isSchema(schema['contains']) && !this.isInert(schema['contains'])) return false
    const named = schemaMap(schema['properties']).map(([, value]) => value)
    const patterns = schemaMap(schema['patternProperties']).map(([, value]) => value)
    const overlap = [...patterns, ...named].filter(value => !this.isInert(value)).length > 1 && patterns.some(value => !this.isInert(value))
    return !overlap && [...named, ...patterns, ...itemsOf(schema), ...schemasOf([schema['additionalProperties'], schema['unevaluatedProperties']])]
      .every(value => this.isSimple(value, seen))
  }

  /** Whether `schema` is a choice between `branch` and plain values alone. */
  #isChoice (schema: JsonSchema, branch: JsonSchema): boolean {
    const key = 'anyOf' in schema ? 'anyOf' : 'oneOf'
    return isAlone(schema, key) && schemasOf(schema[key]).every(part => part === branch || takesScalarsOnly(part))
  }

  /** A copy with every object closed that does not say itself what else it takes. */
  close (): JsonSchema {
    const close = (schema: unknown): unknown => {
      if (!isSchema(schema) || this.isInert(schema)) return schema
      const copy: Record<string, unknown> = { ...schema }
      for (const key of valueSchemas) copy[key] = Array.isArray(copy[key]) ? copy[key].map(close) : close(copy[key])
      for (const key of ['anyOf', 'oneOf']) if (Array.isArray(copy[key])) copy[key] = copy[key].map(close)
      for (const key of ['properties', 'patternProperties']) if (isSchema(copy[key])) copy[key] = Object.fromEntries(Object.entries(copy[key]).map(([name, part]) => [name, close(part)]))
      if (describes(copy) && copy['additionalProperties'] === undefined && copy['unevaluatedProperties'] === undefined) copy['additionalProperties'] = false
      return Object.fromEntries(Object.entries(copy).filter(([, value]) => value !== undefined))
    }
    const { $defs } = this.#root
    const root = close(this.#root) as JsonSchema
    return isSchema($defs) ? { ...root, $defs: Object.fromEntries(Object.entries($defs).map(([name, part]) => [name, close(part)])) } : root
  }

  /** @throws {TypeError} where a schema holds of a value only if it holds of that value: to check that would not end */
  forbidLoops (): void {
    const done = new Set<JsonSchema>()
    const follow = (schema: JsonSchema, path: ReadonlySet<JsonSchema>): void => {
      if (path.has(schema)) throw unusable('a part of it refers to itself, and to nothing inside the value')
      if (done.has(schema)) return
      const further = new Set([...path, schema])
      for (const part of [...this.parts(schema), ...schemasOf([schema['not']]), ...schemasOf([referred(this.#root, schema)])]) follow(part, further)
      done.add(schema)
    }
    for (const schema of [this.#root, ...schemaMap(this.#root['$defs']).map(([, part]) => part)]) follow(schema, new Set())
  }
}

const annotations = ['title', 'description', 'default', 'examples', 'example', '$comment', 'readOnly', 'writeOnly', 'deprecated', '$defs', 'externalDocs', 'xml', 'discriminator']

function isAlone (schema: JsonSchema, keyword: string): boolean {
  return Object.keys(schema).every(key => key === keyword || annotations.includes(key))
}

function takesScalarsOnly (schema: JsonSchema): boolean {
  const { type, enum: values, const: value } = schema
  if (Array.isArray(values)) return values.every(isScalar)
  if ('const' in schema) return isScalar(value)
  return type !== undefined && [type].flat().every(one => one !== 'object' && one !== 'array')
}

function isScalar (value: unknown): boolean {
  return typeof value !== 'object' || value === null
}

function itemsOf ({ items, additionalItems, unevaluatedItems }: JsonSchema): JsonSchema[] {
  return schemasOf([items, additionalItems, unevaluatedItems].flat())
}

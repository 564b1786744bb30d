/** What a condition can compare with. */
export type Scalar = string | number | boolean | null

export type ScalarType = 'string' | 'number' | 'boolean' | 'null'

/** What a JSON Schema says of the values at a path. */
export interface Property {
  /** The types of the scalars there, those inside an array included; `null` too where the value may be absent. */
  readonly scalars: ReadonlySet<ScalarType>
  /** Whether an array may stand there. */
  readonly array: boolean
}

type Schema = Readonly<Record<string, unknown>>

const anyScalar: readonly ScalarType[] = ['string', 'number', 'boolean', 'null']
const shaping = ['type', 'const', 'enum', 'anyOf', 'oneOf', 'allOf', '$ref', 'not']
const deepest = 32 // a recursive schema ends here

function isSchema (value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function schemas (value: unknown): Schema[] {
  return Array.isArray(value) ? value.filter(isSchema) : []
}

function isAny (schema: Schema): boolean {
  return !shaping.some(keyword => keyword in schema)
}

function typeOf (value: unknown): readonly ScalarType[] {
  const type = value === null ? 'null' : typeof value
  return type === 'string' || type === 'number' || type === 'boolean' || type === 'null' ? [type] : []
}

/** Reads a resource's schema: which properties a `where`, a `sort` or `fields` may name, and what they hold. */
export class Properties {
  readonly #schema: Schema
  readonly #root: Schema
  readonly #named = new Map<string, Schema>()

  constructor (schema: Schema) {
    this.#schema = schema
    this.#root = { allOf: [{ type: 'object', properties: { id: { type: 'string' } }, required: ['id'] }, schema] }
    this.#collect(schema)
  }

  /** What stands at `path` (`['address', 'city']`), or `null` where the schema knows no scalar there. */
  at (path: readonly string[]): Property | null {
    let here: Schema[] = [this.#root]
    let optional = false
    for (const key of path) {
      optional ||= !here.every(schema => this.#requires(schema, key))
      here = here.flatMap(schema => this.#lookup(schema, key))
    }
    const scalars = new Set(here.flatMap(schema => this.#scalars(schema)))
    if (scalars.size === 0) return null
    if (optional) scalars.add('null')
    return { scalars, array: here.some(schema => this.#isArray(schema)) }
  }

  /** Whether records may have the property `name`. */
  has (name: string): boolean {
    return this.#lookup(this.#root, name).length > 0
  }

  /** The properties that the schema names, in its order. */
  names (): string[] {
    return [...new Set(this.#names(this.#schema))]
  }

  /** Whether every value that fits the schema is an object. */
  isObject (): boolean {
    return this.#isObject(this.#schema)
  }

  #collect (schema: Schema): void {
    if (typeof schema['$id'] === 'string') this.#named.set(schema['$id'], schema)
    for (const value of Object.values(schema)) {
      if (Array.isArray(value)) schemas(value).forEach(item => this.#collect(item))
      else if (isSchema(value)) this.#collect(value)
    }
  }

  /** The members of a union, intersection or reference. */
  #parts (schema: Schema): { any: Schema[], all: Schema[] } {
    const target = typeof schema['$ref'] === 'string' ? this.#named.get(schema['$ref']) : undefined
    return {
      any: [...schemas(schema['anyOf']), ...schemas(schema['oneOf'])],
      all: [...schemas(schema['allOf']), ...(target && target !== schema ? [target] : [])]
    }
  }

  #lookup (schema: Schema, key: string, depth = 0): Schema[] {
    if (depth > deepest) return []
    if (isAny(schema)) return [{}]
    const { properties, patternProperties, additionalProperties } = schema
    const { any, all } = this.#parts(schema)
    const found = [...any, ...all].flatMap(part => this.#lookup(part, key, depth + 1))
    if (isSchema(properties) && Object.hasOwn(properties, key)) found.push(...schemas([properties[key]]))
    const patterns = isSchema(patternProperties) ? Object.entries(patternProperties) : []
    for (const [pattern, value] of patterns) if (new RegExp(pattern, 'u').test(key)) found.push(...schemas([value]))
    if (found.length === 0 && additionalProperties === true) found.push({})
    if (found.length === 0 && isSchema(additionalProperties)) found.push(additionalProperties)
    return found
  }

  #requires (schema: Schema, key: string, depth = 0): boolean {
    if (depth > deepest) return false
    const { any, all } = this.#parts(schema)
    return (Array.isArray(schema['required']) && schema['required'].includes(key)) ||
      all.some(part => this.#requires(part, key, depth + 1)) ||
      (any.length > 0 && any.every(part => this.#requires(part, key, depth + 1)))
  }

  #names (schema: Schema, depth = 0): string[] {
    if (depth > deepest) return []
    const { any, all } = this.#parts(schema)
    const own = isSchema(schema['properties']) ? Object.keys(schema['properties']) : []
    return [...own, ...[...any, ...all].flatMap(part => this.#names(part, depth + 1))]
  }

  #isObject (schema: Schema, depth = 0): boolean {
    if (depth > deepest) return false
    const { any, all } = this.#parts(schema)
    return schema['type'] === 'object' ||
      all.some(part => this.#isObject(part, depth + 1)) ||
      (any.length > 0 && any.every(part => this.#isObject(part, depth + 1)))
  }

  #isArray (schema: Schema, depth = 0): boolean {
    if (depth > deepest) return false
    const { any, all } = this.#parts(schema)
    return isAny(schema) || typesOf(schema).includes('array') || [...any, ...all].some(part => this.#isArray(part, depth + 1))
  }

  /** The scalars that fit `schema`, and those inside an array that does. */
  #scalars (schema: Schema, depth = 0, inArray = false): ScalarType[] {
    if (depth > deepest) return []
    if (isAny(schema)) return [...anyScalar]
    if ('const' in schema) return [...typeOf(schema['const'])]
    if (Array.isArray(schema['enum'])) return schema['enum'].flatMap(typeOf)
    const { any, all } = this.#parts(schema)
    const found = [...any, ...all].flatMap(part => this.#scalars(part, depth + 1, inArray))
    for (const type of typesOf(schema)) {
      if (type === 'integer' || type === 'number') found.push('number')
      else if (type === 'string' || type === 'boolean' || type === 'null') found.push(type)
      else if (type === 'array' && !inArray) found.push(...itemsOf(schema).flatMap(item => this.#scalars(item, depth + 1, true)))
    }
    return found
  }
}

function typesOf (schema: Schema): unknown[] {
  return Array.isArray(schema['type']) ? schema['type'] : [schema['type']]
}

function itemsOf (schema: Schema): Schema[] {
  const { items } = schema
  if (Array.isArray(items)) return schemas(items)
  return isSchema(items) ? [items] : [{}]
}

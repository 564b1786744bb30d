import { type JsonSchema, References, isSchema, schemaMap, schemasOf } from './json-schema.ts'

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

/** The largest `where` that is accepted. */
export interface WhereLimits {
  /** A property with an operator is one. */
  readonly conditions: number
  /** Each `$and` and `$or` goes one deeper. */
  readonly levels: number
}

/** The limits where an app sets no others (PROTOCOL.md, where). */
export const whereLimits: WhereLimits = { conditions: 100, levels: 8 }

const anyScalar: readonly ScalarType[] = ['string', 'number', 'boolean', 'null']
const shaping = ['type', 'const', 'enum', 'anyOf', 'oneOf', 'if', 'dependentSchemas', 'properties', 'patternProperties', 'additionalProperties', 'unevaluatedProperties']
const anything: JsonSchema = {}

/** The schemas that hold of the same value as the one they stand in: always, one of them, or on a condition. */
interface Parts { readonly all: JsonSchema[], readonly any: JsonSchema[], readonly maybe: JsonSchema[] }

/** Reads a resource's schema: which properties a `where`, a `sort` or `fields` may name, and what they hold. */
export class Properties {
  /** How large a `where` may be. */
  readonly limits: WhereLimits
  readonly #schema: JsonSchema
  readonly #root: JsonSchema
  readonly #references: References
  readonly #patterns = new Map<string, RegExp>()

  constructor (schema: JsonSchema, limits: WhereLimits = whereLimits) {
    this.limits = limits
    this.#schema = schema
    this.#references = new References(schema)
    this.#root = { allOf: [{ type: 'object', properties: { id: { type: 'string' } }, required: ['id'] }, schema] }
  }

  /** What stands at `path` (`['address', 'city']`), or `null` where the schema knows no scalar there. */
  at (path: readonly string[]): Property | null {
    let here: JsonSchema[] = [this.#root]
    let optional = false
    for (const key of path) {
      optional ||= !here.every(schema => this.#isObject(schema) && this.#requires(schema, key))
      here = [...new Set(here.flatMap(schema => this.#lookup(schema, key)))]
      if (here.length === 0) return null
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
    const seen = new Set<JsonSchema>()
    const names = (schema: JsonSchema): string[] => {
      if (seen.has(schema)) return []
      seen.add(schema)
      const { all, any, maybe } = this.#parts(schema)
      return [...isSchema(schema['properties']) ? Object.keys(schema['properties']) : [], ...[...any, ...all, ...maybe].flatMap(names)]
    }
    return [...new Set(names(this.#schema))]
  }

  /** Whether every value that fits the schema is an object. */
  isObject (): boolean {
    return this.#isObject(this.#schema)
  }

  #parts (schema: JsonSchema): Parts {
    const target = this.#references.target(schema)
    const { allOf, anyOf, oneOf, if: condition, then, else: otherwise, dependentSchemas, dependencies } = schema
    return {
      all: [...schemasOf(allOf), ...(target ? [target] : [])],
      any: [...schemasOf(anyOf), ...schemasOf(oneOf)],
      maybe: [...(condition === undefined ? [] : schemasOf([condition, then, otherwise])), ...[dependentSchemas, dependencies].flatMap(map => schemaMap(map).map(([, part]) => part))]
    }
  }

  /** Whether `schema` says nothing of what a value is. */
  #isAny (schema: JsonSchema, seen = new Set<JsonSchema>()): boolean {
    if (seen.has(schema) || shaping.some(keyword => Object.hasOwn(schema, keyword))) return false
    seen.add(schema)
    return this.#parts(schema).all.every(part => this.#isAny(part, seen))
  }

  #lookup (schema: JsonSchema, key: string, seen = new Set<JsonSchema>()): JsonSchema[] {
    if (seen.has(schema)) return []
    seen.add(schema)
    if (this.#isAny(schema)) return [anything]
    const { all, any, maybe } = this.#parts(schema)
    const parts = [...any, ...[...all, ...maybe].filter(part => !this.#isAny(part))]
    const found = parts.flatMap(part => this.#lookup(part, key, seen))
    const { properties, patternProperties, additionalProperties, unevaluatedProperties } = schema
    if (isSchema(properties) && Object.hasOwn(properties, key)) found.push(...schemasOf([properties[key]]))
    for (const [pattern, value] of schemaMap(patternProperties)) if (this.#pattern(pattern).test(key)) found.push(value)
    if (found.length === 0) found.push(...schemasOf([additionalProperties]))
    if (found.length === 0) found.push(...schemasOf([unevaluatedProperties]))
    return found
  }

  #pattern (source: string): RegExp {
    const known = this.#patterns.get(source)
    if (known) return known
    const pattern = new RegExp(source, 'u')
    this.#patterns.set(source, pattern)
    return pattern
  }

  #requires (schema: JsonSchema, key: string, seen = new Set<JsonSchema>()): boolean {
    if (seen.has(schema)) return false
    seen.add(schema)
    const { any, all } = this.#parts(schema)
    return (Array.isArray(schema['required']) && schema['required'].includes(key)) ||
      all.some(part => this.#requires(part, key, seen)) ||
      (any.length > 0 && any.every(part => this.#requires(part, key, new Set(seen))))
  }

  #isObject (schema: JsonSchema, seen = new Set<JsonSchema>()): boolean {
    if (seen.has(schema)) return false
    seen.add(schema)
    const { any, all } = this.#parts(schema)
    const types = typesOf(schema)
    return (types.length > 0 && types.every(type => type === 'object')) ||
      all.some(part => this.#isObject(part, seen)) ||
      (any.length > 0 && any.every(part => this.#isObject(part, new Set(seen))))
  }

  #isArray (schema: JsonSchema, seen = new Set<JsonSchema>()): boolean {
    if (seen.has(schema)) return false
    seen.add(schema)
    const { all, any, maybe } = this.#parts(schema)
    return this.#isAny(schema) || typesOf(schema).includes('array') ||
      any.some(part => this.#isArray(part, seen)) ||
      [...all, ...maybe].some(part => !this.#isAny(part) && this.#isArray(part, seen))
  }

  /** The scalars that fit `schema`, and those inside an array that does. */
  #scalars (schema: JsonSchema, inArray = false, seen = new Set<JsonSchema>()): ScalarType[] {
    if (seen.has(schema)) return []
    seen.add(schema)
    if (this.#isAny(schema)) return [...anyScalar]
    if ('const' in schema) return [...typeOf(schema['const'])]
    if (Array.isArray(schema['enum'])) return schema['enum'].flatMap(typeOf)
    const types = typesOf(schema)
    const { all, any, maybe } = this.#parts(schema)
    const parts = [...(types.length > 0 ? any.filter(part => !this.#isAny(part)) : any), ...[...all, ...maybe].filter(part => !this.#isAny(part))]
    const found = parts.flatMap(part => this.#scalars(part, inArray, seen))
    for (const type of types) {
      if (type === 'integer' || type === 'number') found.push('number')
      else if (type === 'string' || type === 'boolean' || type === 'null') found.push(type)
      else if (type === 'array' && !inArray) found.push(...itemsOf(schema).flatMap(item => this.#scalars(item, true)))
    }
    return found
  }
}

function typeOf (value: unknown): readonly ScalarType[] {
  const type = value === null ? 'null' : typeof value
  return type === 'string' || type === 'number' || type === 'boolean' || type === 'null' ? [type] : []
}

/** The types that `schema` names itself; `nullable` is OpenAPI's. */
function typesOf ({ type, nullable }: JsonSchema): unknown[] {
  const types = Array.isArray(type) ? type : type === undefined ? [] : [type]
  return nullable === true && types.length > 0 ? [...types, 'null'] : types
}

function itemsOf ({ items, additionalItems }: JsonSchema): JsonSchema[] {
  if (Array.isArray(items)) return [...schemasOf(items), ...schemasOf([additionalItems ?? true])]
  return schemasOf([items ?? true])
}

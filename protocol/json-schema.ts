/** A JSON Schema (draft 2019-09) that is an object. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** Keywords whose value is a schema, a list of schemas, or a map of them. */
const single = ['items', 'additionalItems', 'unevaluatedItems', 'contains', 'additionalProperties', 'unevaluatedProperties', 'propertyNames', 'not', 'if', 'then', 'else', 'contentSchema']
const lists = ['allOf', 'anyOf', 'oneOf', 'items']
const maps = ['properties', 'patternProperties', 'dependentSchemas', 'dependencies', '$defs', 'definitions']

export function isSchema (value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The schemas of a list; `true` takes anything, as `{}` does. */
export function schemasOf (value: unknown): JsonSchema[] {
  return Array.isArray(value) ? value.map(item => item === true ? anything : item).filter(isSchema) : []
}

/** The schemas of a map, by name. */
export function schemaMap (value: unknown): readonly (readonly [string, JsonSchema])[] {
  return isSchema(value) ? Object.entries(value).map(([name, item]) => [name, item === true ? anything : item] as const).filter((entry): entry is [string, JsonSchema] => isSchema(entry[1])) : []
}

const anything: JsonSchema = {}

/** A schema inside another, and where: the keyword, and in a list or a map which. */
export interface Subschema { readonly schema: JsonSchema, readonly path: readonly [keyword: string, key?: string] }

/** The schemas that are written inside of `schema`, one level down. */
export function subschemas (schema: JsonSchema): Subschema[] {
  return [
    ...single.flatMap(keyword => schemasOf([schema[keyword]]).map(part => ({ schema: part, path: [keyword] as const }))),
    ...[...lists, ...maps].flatMap(keyword => {
      const parts = schema[keyword]
      if (typeof parts !== 'object' || parts === null || (Array.isArray(parts) !== lists.includes(keyword))) return []
      return Object.entries(parts).flatMap(([key, part]) => schemasOf([part]).map(one => ({ schema: one, path: [keyword, key] as const })))
    })
  ]
}

const nowhere = 'schema:///' // the base of what has no `$id`

/** Finds what a schema's `$ref`s name (JSON Schema 2019-09, 8.2): by `$id`, relative or not, by `$anchor`, and by JSON Pointer. */
export class References {
  readonly #bases = new Map<JsonSchema, string>()
  readonly #resources = new Map<string, JsonSchema>()
  readonly #anchors = new Map<string, JsonSchema>()
  readonly #ids = new Map<string, JsonSchema>()

  constructor (root: JsonSchema) {
    this.#resources.set(nowhere, root)
    this.#collect(root, nowhere)
  }

  /** Whether `$recursiveRef` could mean anything but `$ref`: there is more than one schema with a name of its own. */
  get isDynamic (): boolean {
    return this.#ids.size > 1
  }

  /** What `schema` refers to, or `null` where it has no reference, or one to nothing. */
  target (schema: JsonSchema): JsonSchema | null {
    const ref = schema['$ref'] ?? schema['$recursiveRef']
    if (typeof ref !== 'string') return null
    const [uri, fragment] = this.#resolve(ref, this.#bases.get(schema) ?? nowhere)
    const resource = this.#resources.get(uri)
    if (resource && fragment === '') return resource
    if (resource && fragment.startsWith('/')) return this.#at(resource, uri, fragment)
    return this.#anchors.get(`${uri}#${fragment}`) ?? this.#ids.get(ref) ?? null
  }

  #collect (schema: JsonSchema, base: string): void {
    if (this.#bases.has(schema)) return
    const { $id, $anchor } = schema
    let own = base
    if (typeof $id === 'string') {
      const [uri, fragment] = this.#resolve($id, base)
      if (fragment === '') own = uri
      const [known, key] = fragment === '' ? [this.#resources, uri] : [this.#anchors, `${uri}#${fragment}`]
      if (!known.has(key)) known.set(key, schema)
      if (!this.#ids.has($id)) this.#ids.set($id, schema)
    }
    if (typeof $anchor === 'string') this.#anchors.set(`${own}#${$anchor}`, schema)
    this.#bases.set(schema, own)
    for (const { schema: part } of subschemas(schema)) this.#collect(part, own)
  }

  #at (resource: JsonSchema, base: string, pointer: string): JsonSchema | null {
    let found: unknown = resource
    for (const part of pointer.split('/').slice(1)) {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
      if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return null
      found = (found as Record<string, unknown>)[key]
    }
    if (found === true) return anything
    if (!isSchema(found)) return null
    this.#collect(found, base) // it may stand where no keyword leads
    return found
  }

  /** The address and the fragment, unescaped. */
  #resolve (reference: string, base: string): [string, string] {
    try {
      const url = new URL(reference, base)
      const fragment = decodeURIComponent(url.hash.slice(1))
      url.hash = ''
      return [url.href, fragment]
    } catch {
      return [reference, '']
    }
  }
}

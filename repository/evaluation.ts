import { type JsonSchema, isSchema, schemaMap, subschemas } from '../protocol/json-schema.ts'
import { Shapes, describes, referred } from './body-schema.ts'
import { pointerPart } from './storable.ts'

/** What has been said of one value inside a body. */
class Spot {
  readonly value: object
  /** The properties that something knows, or all. */
  known: Set<string> | 'all' = new Set()
  /** Whether something says what properties there are. */
  described = false
  readonly #children = new Map<string | number, Spot>()

  constructor (value: object) {
    this.value = value
  }

  /** The place of a property or an element, or `null` where it holds a plain value. */
  child (key: string | number): Spot | null {
    const known = this.#children.get(key)
    if (known) return known
    const value = (this.value as Record<string | number, unknown>)[key]
    if (typeof value !== 'object' || value === null) return null
    const spot = new Spot(value)
    this.#children.set(key, spot)
    return spot
  }

  know (names: Iterable<string>): void {
    if (this.known !== 'all') for (const name of names) this.known.add(name)
  }

  /** JSON Pointers of what nothing knows, without their escapes, one part after the other. */
  * unknown (): Generator<readonly string[]> {
    if (this.described && this.known !== 'all') for (const name of Object.keys(this.value)) if (!this.known.has(name)) yield [name]
    for (const [key, child] of this.#children) for (const path of child.unknown()) yield [String(key), ...path]
  }
}

/** What one schema has spoken of: properties, and elements up to an index. */
interface Evaluated { readonly names: Set<string>, items: number }

/**
 * What a schema that is visited says: what the value must be; or only that it is asked about, as an `if` or `contains` does, which makes properties known but
 * closes nothing; or that, and the answer was no.
 */
type Role = 'holds' | 'asks' | 'failed'

/** A schema that speaks of a value, and in which role. */
type Speaker = readonly [schema: unknown, role: Role]

/** Tells whether `value` fits a part of the schema that may or may not hold: one of `conditionals`. */
export type Fits = (part: JsonSchema, value: unknown) => boolean

/**
 * Finds the properties of a valid body that nothing in the whole schema evaluates (JSON Schema 2019-09, 9.3.1.2 and 9.3.2): neither a part that
 * always holds, nor a branch, condition or dependency that holds of this body. What a schema says of one object in several places counts together.
 */
export class Evaluation {
  readonly #root: JsonSchema
  readonly #shapes: Shapes
  readonly #fits: Fits
  readonly #step: () => void
  readonly #patterns = new Map<string, RegExp>()

  /** @param step is called for each schema that is entered, and may throw */
  constructor (root: JsonSchema, fits: Fits, step: () => void = () => {}) {
    this.#root = root
    this.#step = step
    this.#shapes = new Shapes(root)
    this.#fits = fits
  }

  /** Their paths, at most `most` of them. */
  unknown (body: unknown, most: number): (readonly string[])[] {
    if (typeof body !== 'object' || body === null) return []
    const spot = new Spot(body)
    this.#visit(this.#root, spot, 'holds')
    const paths: (readonly string[])[] = []
    for (const path of spot.unknown()) if (paths.push(path) === most) break
    return paths
  }

  #visit (schema: JsonSchema, spot: Spot, role: Role): Evaluated {
    const done: Evaluated = { names: new Set(), items: 0 }
    if (this.#shapes.isInert(schema)) return done
    this.#step()
    for (const [part, as] of this.#speakers(schema, spot, role)) {
      if (!isSchema(part)) continue
      const { names, items } = this.#visit(part, spot, as)
      for (const name of names) done.names.add(name)
      done.items = Math.max(done.items, items)
    }
    if (Array.isArray(spot.value)) this.#elements(schema, spot, spot.value, { done, role })
    else {
      this.#properties(schema, spot, { names: done.names, role })
      spot.described ||= role === 'holds' && describes(schema)
      spot.know(done.names)
    }
    return done
  }

  /** The parts that speak of the same value. */
  #speakers (schema: JsonSchema, spot: Spot, role: Role): Speaker[] {
    const { allOf, anyOf, oneOf, if: condition, then, else: otherwise, dependentSchemas, dependencies } = schema
    const speakers: Speaker[] = [referred(this.#root, schema), ...list(allOf)].map(part => [part, role])
    for (const branch of [...list(anyOf), ...list(oneOf)]) {
      if (takesAnything(branch) && role === 'holds') spot.known = 'all'
      else if (isSchema(branch) && !this.#shapes.isInert(branch) && this.#fits(branch, spot.value)) speakers.push([branch, role])
    }
    if (condition !== undefined) {
      const met = condition === true || (isSchema(condition) && this.#fits(condition, spot.value))
      speakers.push([condition, met && role !== 'failed' ? 'asks' : 'failed'], [met ? then : otherwise, role])
    }
    for (const [name, part] of [dependentSchemas, dependencies].flatMap(schemaMap)) if (has(spot.value, name)) speakers.push([part, role])
    return speakers
  }

  #properties (schema: JsonSchema, spot: Spot, { names, role }: { names: Set<string>, role: Role }): void {
    const { properties, patternProperties, additionalProperties, unevaluatedProperties } = schema
    const patterns = schemaMap(patternProperties)
    const own = new Set<string>()
    const evaluate = (name: string, part: unknown): void => {
      own.add(name)
      names.add(name)
      const child = role === 'failed' ? null : spot.child(name)
      if (child && isSchema(part)) this.#visit(part, child, role)
    }
    for (const name of Object.keys(spot.value)) {
      if (isSchema(properties) && Object.hasOwn(properties, name)) evaluate(name, properties[name])
      for (const [pattern, part] of patterns) if (this.#pattern(pattern).test(name)) evaluate(name, part)
      if (additionalProperties !== undefined && !own.has(name)) evaluate(name, additionalProperties)
      if (unevaluatedProperties !== undefined && !names.has(name)) evaluate(name, unevaluatedProperties)
    }
  }

  #elements ({ items, additionalItems, unevaluatedItems, contains }: JsonSchema, spot: Spot, elements: readonly unknown[], { done, role }: { done: Evaluated, role: Role }): void {
    if (role === 'failed') return
    const evaluate = (from: number, part: unknown): void => {
      for (let index = from; index < elements.length && isSchema(part); index++) {
        const child = spot.child(index)
        if (child) this.#visit(part, child, role)
      }
      if (part !== undefined) done.items = elements.length
    }
    if (isSchema(contains) && !this.#shapes.isInert(contains)) {
      for (const index of elements.keys()) {
        const child = spot.child(index)
        if (child && this.#fits(contains, child.value)) this.#visit(contains, child, 'asks')
      }
    }
    if (!Array.isArray(items)) evaluate(0, items)
    else {
      for (const [index, part] of items.entries()) {
        const child = spot.child(index)
        if (child && isSchema(part)) this.#visit(part, child, role)
      }
      done.items = Math.max(done.items, items.length)
      evaluate(items.length, additionalItems)
    }
    if (unevaluatedItems !== undefined) evaluate(done.items, unevaluatedItems)
  }

  #pattern (source: string): RegExp {
    const known = this.#patterns.get(source)
    if (known) return known
    const pattern = new RegExp(source, 'u')
    this.#patterns.set(source, pattern)
    return pattern
  }
}

/** The parts of a bundled schema that may or may not hold, with their JSON Pointers as URI fragments. */
export function conditionals (root: JsonSchema): ReadonlyMap<JsonSchema, string> {
  const shapes = new Shapes(root)
  const found = new Map<JsonSchema, string>()
  const look = (schema: JsonSchema, at: string): void => {
    for (const { schema: part, path } of subschemas(schema)) {
      const pointer = [at, ...path.map(key => encodeURIComponent(pointerPart(String(key))))].join('/')
      const [keyword] = path
      if (keyword === 'if' || (branching.includes(keyword) && !shapes.isInert(part))) found.set(part, pointer)
      look(part, pointer)
    }
  }
  look(root, '#')
  return found
}

const branching = ['anyOf', 'oneOf', 'contains']
const sayNothing = ['title', 'description', 'default', 'examples', 'example', '$comment', 'readOnly', 'writeOnly', 'deprecated']

function takesAnything (schema: unknown): boolean {
  return schema === true || (isSchema(schema) && Object.keys(schema).every(key => sayNothing.includes(key)))
}

function list (value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function has (value: object, name: string): boolean {
  return Object.hasOwn(value, name) && (value as Record<string, unknown>)[name] !== undefined
}

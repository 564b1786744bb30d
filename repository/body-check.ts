import { Ajv2019, type ErrorObject, type Options, type ValidateFunction } from 'ajv/dist/2019.js'
import formats from 'ajv-formats'
import { type JsonSchema, isSchema, schemaMap } from '../protocol/json-schema.ts'
import { type BodySchema, Shapes } from './body-schema.ts'
import { Evaluation, conditionals } from './evaluation.ts'
import { pointerPart } from './storable.ts'

/** Bodies that hold more values than this are told one error, as each error costs more than the value that it is about. */
const fewValues = 1000
/** How often the schemas that contain themselves may be entered for one body: branches of branches take more work than the body has values. */
const mostSteps = { first: 100_000, all: 10_000, evaluation: 300_000, perValue: 4 } as const
const step = 'x-change-stream-step'

class TooMuchWork extends Error {}

/** What is wrong with a body, as Ajv says it. */
export type Finding = Pick<ErrorObject, 'instancePath' | 'keyword' | 'params' | 'message'>

/** Checks bodies against a schema, the properties that they may not have included. */
export class BodyCheck {
  readonly #recursive: boolean
  readonly #first: ValidateFunction
  readonly #all: ValidateFunction
  readonly #evaluation: Evaluation | null
  #steps = 0

  /** @throws {TypeError} where the schema can't be used */
  constructor ({ schema, closed, recursive }: BodySchema) {
    this.#recursive = recursive
    const prepared = recursive ? counted(schema) : schema
    try {
      const ajv = this.#ajv(false)
      ajv.addSchema(prepared, 'body')
      this.#first = compiled(ajv, 'body')
      const parts = closed ? [] : [...conditionals(prepared)].map(([part, pointer]) => [part, compiled(ajv, `body${pointer}`)] as const)
      const fits = new Map(parts)
      this.#evaluation = closed ? null : new Evaluation(prepared, (part, value) => fits.get(part)?.(value) === true, () => this.#step())
      this.#all = this.#ajv(true, { meta: false, validateSchema: false }).compile(prepared)
    } catch (cause) {
      throw new TypeError(`resource.schema can't be used: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    }
  }

  /** What is wrong with a body of so many values (`NaN`: not known): nothing, or several things, or the first alone. At most `most` of what is unknown. */
  findings (body: unknown, values: number, most: number): readonly Finding[] {
    try {
      const wrong = values <= fewValues && !this.#recursive ? this.#run(this.#all, body, mostSteps.first) : this.#inTurn(body, values)
      return wrong.length > 0 ? wrong : this.#unknown(body, values, most)
    } catch (error) {
      if (!(error instanceof TooMuchWork)) throw error
      return [{ instancePath: '', keyword: 'work', params: {}, message: 'takes too much work to check' }]
    }
  }

  /** The first error, then, if there is one and the body is small, as many as can be had for a little work. */
  #inTurn (body: unknown, values: number): readonly Finding[] {
    const first = this.#run(this.#first, body, stepsFor(mostSteps.first, values))
    if (first.length === 0 || !(values <= fewValues)) return first
    try {
      return this.#run(this.#all, body, mostSteps.all)
    } catch (error) {
      if (error instanceof TooMuchWork) return first
      throw error
    }
  }

  #run (validate: ValidateFunction, body: unknown, steps: number): readonly Finding[] {
    this.#steps = steps
    return validate(body) ? [] : validate.errors ?? []
  }

  #unknown (body: unknown, values: number, most: number): readonly Finding[] {
    if (!this.#evaluation) return []
    this.#steps = stepsFor(mostSteps.evaluation, values)
    return this.#evaluation.unknown(body, most).map(path => {
      const at = path.slice(0, -1).map(part => `/${pointerPart(part)}`).join('')
      return { instancePath: at, keyword: 'unevaluatedProperties', params: { unevaluatedProperty: path.at(-1) } }
    })
  }

  #step (): boolean {
    if (--this.#steps < 0) throw new TooMuchWork()
    return true
  }

  #ajv (allErrors: boolean, more: Options = {}): Ajv2019 {
    const ajv = new Ajv2019({ ...more, allErrors, ownProperties: true, strictTypes: false, strictTuples: false, strictRequired: false, allowUnionTypes: true, allowMatchingProperties: true })
    formats.default(ajv)
    ajv.addVocabulary(['example', 'externalDocs', 'xml'])
    ajv.addKeyword({ keyword: step, before: '$ref', errors: false, validate: () => this.#step() })
    ajv.removeKeyword('uniqueItems') // Ajv's own compares each with each
    ajv.addKeyword({
      keyword: 'uniqueItems',
      type: 'array',
      schemaType: 'boolean',
      error: { message: 'must NOT have duplicate items' },
      validate: (wanted: boolean, items: readonly unknown[]) => !wanted || areDistinct(items)
    })
    return ajv
  }
}

function stepsFor (least: number, values: number): number {
  return least + (values >= 0 ? mostSteps.perValue * values : 0)
}

function compiled (ajv: Ajv2019, key: string): ValidateFunction {
  const validate = ajv.getSchema(key)
  if (!validate) throw new TypeError(`there is no ${key}`)
  return validate
}

function areDistinct (items: readonly unknown[]): boolean {
  return new Set(items.map(canonical)).size === items.length
}

/** Equal text for equal JSON. */
function canonical (value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join()}}`
}

/** `schema` with its references counted, and plain properties looked at first: a `kind` tells a branch from its like before anything below does. */
function counted (schema: JsonSchema): JsonSchema {
  const shapes = new Shapes(schema)
  const plainFirst = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(plainFirst)
    if (!isSchema(value)) return value
    const copy = Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plainFirst(part)]))
    if (!isSchema(value['properties'])) return copy
    const inert = new Map(schemaMap(value['properties']).map(([name, part]) => [name, shapes.isInert(part)]))
    return { ...copy, properties: Object.fromEntries(Object.entries(copy['properties'] as JsonSchema).sort(([a], [b]) => Number(inert.get(b)) - Number(inert.get(a)))) }
  }
  const { $defs, ...rest } = schema
  return {
    ...plainFirst(rest) as JsonSchema,
    $defs: Object.fromEntries(schemaMap($defs).map(([name, part]) => [name, { ...plainFirst(part) as JsonSchema, [step]: true }]))
  }
}

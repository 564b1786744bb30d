import type { TSchema } from '@sinclair/typebox'
import type { BodyError } from '../protocol/errors.ts'
import { newId } from './id.ts'
import { reading } from './reading.ts'
import { type Body, type Resource, invalidBody, mostErrors } from './resource.ts'
import type { Mutation } from './store.ts'

const slice = 5 // milliseconds

/** The records that are to be created together, checked and written as JSON a few milliseconds at a time. */
export class Batch<S extends TSchema> {
  readonly #resource: Resource<S>
  readonly #bodies: readonly Body<S>[]
  readonly #errors: BodyError[] = []
  readonly #mutations: Mutation[] = []
  /** Why one that fits the schema can't be kept, where no other is wrong. */
  #refusal: unknown
  #next = 0

  constructor (resource: Resource<S>, bodies: readonly Body<S>[]) {
    this.#resource = resource
    this.#bodies = reading(() => [...bodies])
  }

  /** Checks some more; whether that is not all. */
  check (): boolean {
    for (const deadline = performance.now() + slice; this.#isUnderWay && performance.now() < deadline;) this.#checkOne(this.#next++)
    return this.#isUnderWay
  }

  /**
   * What creates them, once all have been checked.
   * @throws {ChangeStreamError} `invalid-body`, of which as much is told as of one; `too-large`
   */
  creations (): readonly Mutation[] {
    if (this.#errors.length > 0) throw invalidBody(this.#errors.slice(0, mostErrors))
    if (this.#refusal !== undefined) throw this.#refusal
    return this.#mutations
  }

  get #isUnderWay (): boolean {
    return this.#next < this.#bodies.length && this.#errors.length < mostErrors
  }

  #checkOne (index: number): void {
    const body = this.#bodies[index] as Body<S>
    this.#errors.push(...reading(() => this.#resource.errors(body, `/${index}`)))
    if (this.#errors.length > 0 || this.#refusal !== undefined) return
    try {
      this.#mutations.push(creation(this.#resource, body, `record ${index} of the batch`))
    } catch (error) {
      this.#refusal = error
    }
  }
}

/** Creates a record of `body`, which has been checked, under a new id. */
export function creation<S extends TSchema> (resource: Resource<S>, body: Body<S>, what?: string): Mutation {
  const id = newId()
  const json = reading(() => resource.toJson(id, body as Readonly<Record<string, unknown>>, what))
  return { id, fresh: true, decide: () => json }
}

import { isDeepStrictEqual } from 'node:util'
import { type ModelLog, readCursor } from './log.ts'
import type { Random } from './random.ts'
import type { Answer, Service, Write } from './service.ts'
import { type Plain, body, merged, patch } from './things.ts'

/** The status of a write that is refused because subscribers cannot be served as fast. */
export const overloaded = 503

interface Answered { readonly write: Write, readonly answer: Answer, readonly from: number, readonly upTo: number }

/** What a write makes of its records: the new ones by id (`null` where deleted), or the status of its refusal. */
type Effect = ReadonlyMap<string, Plain | null> | number

/** Writes to one resource, and afterwards finds out in which order they were committed, from their answers alone. */
export class Writes {
  readonly ids: string[] = []
  readonly #random: Random
  readonly #pad: number
  readonly #versions = new Map<string, string[]>()
  readonly #pending: Promise<void>[] = []
  readonly #answered: Answered[] = []

  constructor (random: Random, pad: number) {
    this.#random = random
    this.#pad = pad
  }

  /** Some write, most of them such as succeed. */
  any (): Write {
    const random = this.#random
    const id = this.ids.length > 0 && !random.chance(0.03) ? random.pick(this.ids) : random.uuid()
    const condition = random.chance(0.15) ? { ifMatch: random.pick(this.#versions.get(id) ?? ['none']) } : {}
    return random.pick<() => Write>([
      () => ({ kind: 'create', body: body(random, this.#pad) }),
      () => this.ids.length < 12 ? { kind: 'create', body: body(random, this.#pad) } : { kind: 'delete', id, ...condition },
      () => ({ kind: 'batch', bodies: Array.from({ length: random.between(1, 4) }, () => ({ ...body(random, this.#pad), ...(random.chance(0.06) && { n: 'bad' as const }) })) }),
      () => ({ kind: 'replace', id, body: body(random, this.#pad), ...condition }),
      () => random.chance(0.5) ? { kind: 'replace', id: random.chance(0.5) ? id : random.uuid(), body: body(random, this.#pad), ifNoneMatch: '*' } : { kind: 'delete', id, ...condition },
      () => ({ kind: 'patch', id, patch: patch(random, this.#pad), ...condition }),
      () => ({ kind: 'patch', id, patch: patch(random, this.#pad) }),
      () => ({ kind: 'patch', id, patch: random.chance(0.1) ? { n: 'bad' } : patch(random, this.#pad) })
    ])()
  }

  /** Starts a write; the promise is for those who want to wait for its answer. */
  send (service: Service, write: Write): Promise<Answer> {
    const from = service.position
    const answered = service.write(write).then(answer => {
      this.#answered.push({ write, answer, from, upTo: service.position })
      for (const { record, version } of answer.saved) {
        if (!this.ids.includes(record.id)) this.ids.push(record.id)
        if (version !== undefined) this.#versions.set(record.id, [...(this.#versions.get(record.id) ?? []), version])
      }
      return answer
    })
    this.#pending.push(answered.then(() => {}))
    return answered
  }

  async settled (): Promise<void> {
    await Promise.all(this.#pending.splice(0))
  }

  forget (): void {
    this.ids.length = 0
    this.#versions.clear()
  }

  /** Brings the model up to `head`: each position must be what exactly one write says of it, and each answer be explained. */
  commit (model: ModelLog, head: number): void {
    const answered = this.#answered.splice(0)
    const explained = new Set<Answered>()
    const byPosition = new Map<number, { one: Answered, index: number }[]>()
    for (const one of answered) {
      if (one.answer.status >= 400) continue
      const last = readCursor(one.answer.cursor)
      if (!model.hasEpoch(last.epoch)) throw new Error(`a write was answered with the epoch ${last.epoch}`)
      const count = one.write.kind === 'batch' ? one.write.bodies.length : 1
      for (let index = 0; index < count; index++) {
        const position = last.position - count + 1 + index
        byPosition.set(position, [...(byPosition.get(position) ?? []), { one, index }])
      }
    }
    for (let position = model.head + 1; position <= head; position++) {
      const records = model.at(position - 1)
      const candidates = (byPosition.get(position) ?? []).flatMap(({ one, index }) => {
        const [id, after, version] = said(one, index)
        return model.knows(version) || isDeepStrictEqual(records.get(id) ?? null, after) ? [] : [{ one, id, after, version }]
      })
      const [first] = candidates
      if (!first) throw new Error(`no write was answered with position ${position}`)
      const chosen = candidates.find(({ one, id, after }) => isEffect(effect(one, model, position - 1), [id, after, null]))
      if (!chosen || candidates.some(({ id }) => id !== chosen.id)) throw new Error(`position ${position} is not what was asked for: ${JSON.stringify(first.one)}`)
      explained.add(chosen.one)
      model.commit(chosen.id, chosen.after, chosen.version)
    }
    for (const one of answered) if (!explained.has(one) && !isPossible(one, model)) throw new Error(`this answer fits no moment: ${JSON.stringify(one)}`)
  }
}

/** What the answer says of one record. */
function said ({ write, answer }: Answered, index: number): [id: string, after: Plain | null, version: string | undefined] {
  if (write.kind === 'delete') return [write.id, null, undefined]
  const one = answer.saved[index]
  if (!one) throw new Error(`nothing was answered to ${JSON.stringify(write)}`)
  return [one.record.id, one.record, one.version]
}

function isEffect (effect: Effect, [id, after]: [string, Plain | null, unknown]): boolean {
  return typeof effect !== 'number' && isDeepStrictEqual(effect.get(id), after)
}

/** Whether a write that changed nothing is right about some moment while it was under way. */
function isPossible (one: Answered, model: ModelLog): boolean {
  if (one.answer.status === overloaded) return true
  for (let position = one.from; position <= Math.min(one.upTo, model.head); position++) {
    const records = model.at(position)
    const would = effect(one, model, position)
    if (would === one.answer.status) return true
    if (one.answer.status < 400 && one.write.kind !== 'delete') {
      const [id, after] = said(one, 0)
      if (isEffect(would, [id, after, null]) && isDeepStrictEqual(records.get(id), after)) return true
    }
  }
  return false
}

/** What a write does to the records of a position, by contract §2. */
function effect ({ write, answer }: Answered, model: ModelLog, position: number): Effect {
  if (write.kind === 'create') return new Map(answer.saved.map(({ record: { id } }) => [id, { id, ...write.body }]))
  if (write.kind === 'batch') {
    if (write.bodies.some(one => one.n === 'bad')) return 400
    return new Map(answer.saved.map(({ record: { id } }, index) => [id, { id, ...write.bodies[index] }]))
  }
  const { id } = write
  const current = model.at(position).get(id)
  const refused = refusal(write, current, model.versionOf(id, position))
  if (refused !== null) return refused
  if (write.kind === 'delete') return new Map([[id, null]])
  if (write.kind === 'replace') return new Map([[id, { id, ...write.body }]])
  const result = merged(current, write.patch) as Plain
  return typeof result['n'] === 'number' ? new Map([[id, result]]) : 400
}

function refusal (write: Write, current: Plain | undefined, version: string | undefined): number | null {
  if (write.kind === 'replace' && write.ifNoneMatch) return current ? 412 : null
  if (!current) return 404
  return 'ifMatch' in write && write.ifMatch !== version ? 412 : null
}

import { isDeepStrictEqual } from 'node:util'
import { Client } from './client.ts'
import { ModelLog, readCursor } from './log.ts'
import { Random } from './random.ts'
import type { Answer, Settings, World } from './service.ts'
import { holds, marker, where } from './things.ts'
import { Writes, overloaded } from './writes.ts'

/** One resource of a history: what was done to it, who listens, and what the model makes of it. */
interface Part {
  readonly writes: Writes
  readonly clients: Client[]
  readonly cursors: string[]
  model: ModelLog
}

export function settingsOf (random: Random, store: Settings['store']): Settings {
  return {
    store,
    kept: random.pick([3, 8, 20, 1000]),
    tailSize: random.pick([1, 700, 3000, 1_048_576]),
    cacheSize: random.pick([1, 2000, 1_000_000]),
    ringSize: random.pick([1, 300, 2000, 1_048_576]),
    slice: random.pick([1, 5]),
    rest: random.pick([1, 25]),
    backlog: random.pick([1, 1000, 49_152]),
    overloadWait: random.pick([0, 2, 1000]),
    overload: random.pick(['write', 'refuse']),
    heartbeat: random.pick([9, 15_000, 15_000]),
    capacity: random.pick([0, 200, 2000]),
    maxPage: random.pick([1, 500, 1_048_576])
  }
}

/** Plays a random history and throws where anything is not as the model has it. */
export async function play (random: Random, settings: Settings, openWorld: () => Promise<World>, pad: number): Promise<void> {
  const world = await openWorld()
  const parts = world.services.map((service, index): Part => {
    const writes = new Writes(random, pad)
    const cursors: string[] = []
    const part: Part = { writes, cursors, clients: [], model: new ModelLog(service.epoch) }
    const around = { random, cursors, ids: writes.ids, maxPage: settings.maxPage, service: () => world.services[index] ?? service }
    part.clients.push(...Array.from({ length: random.between(2, index === 0 ? 7 : 3) }, () => new Client(around, () => part.model)))
    return part
  })
  const history = new History(random, settings, world, parts)
  try {
    for (let steps = random.between(5, 25); steps > 0; steps--) await history.step()
    await history.settle()
  } finally {
    for (const part of parts) for (const client of part.clients) await client.session?.leave('abrupt')
    await world.close()
  }
}

class History {
  readonly #random: Random
  readonly #settings: Settings
  readonly #world: World
  readonly #parts: readonly Part[]
  /** Whether what is started is waited for only at the quiet points. */
  readonly #overlapping: boolean
  readonly #acts = new Map<Client, Promise<void>>()

  constructor (random: Random, settings: Settings, world: World, parts: readonly Part[]) {
    this.#random = random
    this.#settings = settings
    this.#world = world
    this.#parts = parts
    this.#overlapping = random.chance(0.5)
  }

  async step (): Promise<void> {
    const chance = this.#random.next()
    if (chance < 0.12) await this.settle()
    else if (chance < 0.15) await this.#restart()
    else {
      for (const [index] of this.#parts.entries()) {
        if (index > 0 && this.#random.chance(0.5)) continue
        this.#write(index, this.#random.below(5))
        await this.#act(index)
        this.#write(index, this.#random.below(4))
      }
    }
    if (!this.#overlapping) await this.#quiesce()
    else if (this.#random.chance(0.3)) await new Promise(resolve => setImmediate(resolve))
  }

  /** Everybody gets everything; then all is compared with the model. */
  async settle (): Promise<void> {
    await this.#quiesce()
    for (const [index, part] of this.#parts.entries()) {
      const { service, epoch } = this.#at(index)
      const marked = await accepted(() => part.writes.send(service, { kind: 'create', body: { n: marker, s: '', tags: [] } }))
      const id = String(marked.saved[0]?.record.id)
      part.cursors.push(marked.cursor)
      await accepted(() => part.writes.send(service, { kind: 'delete', id }))
      part.writes.ids.splice(part.writes.ids.indexOf(id), 1)
      await part.writes.settled()
      if (!part.model.hasEpoch(epoch)) throw new Error('the log has become another one')
      const head = service.position
      await Promise.all(part.clients.map(client => client.catchUp(head, { id, markedAt: readCursor(marked.cursor).position })))
      await this.#compare(index)
    }
  }

  async #compare (index: number): Promise<void> {
    const part = this.#at(index).part
    const { service } = this.#at(index)
    const [fault] = this.#world.faults
    if (fault) throw fault
    part.writes.commit(part.model, service.position)
    const floor = await service.floor()
    const due = Math.max(0, service.position - this.#settings.kept)
    if (floor > due || (this.#settings.store === 'memory' && floor < due)) throw new Error(`the log reaches back to ${floor}, not to ${due}`)
    for (const client of part.clients) await client.check(floor)
    for (const condition of [null, where(this.#random, part.writes.ids)]) {
      const { records, cursor } = await service.list(condition, null)
      part.cursors.push(cursor)
      const expected = [...part.model.at(part.model.head).values()].filter(record => holds(condition, record)).sort((a, b) => String(a['id']) < String(b['id']) ? -1 : 1)
      if (readCursor(cursor).position !== part.model.head || !isDeepStrictEqual(records, expected)) throw new Error(`the list of ${JSON.stringify(condition)} at ${cursor} is ${JSON.stringify(records)}, not ${JSON.stringify(expected)}`)
    }
  }

  async #restart (): Promise<void> {
    await this.#quiesce()
    for (const [index, part] of this.#parts.entries()) part.writes.commit(part.model, this.#at(index).service.position)
    const floors = await Promise.all(this.#parts.map((_, index) => this.#at(index).service.floor()))
    await this.#world.restart()
    for (const [index, part] of this.#parts.entries()) {
      for (const client of part.clients) {
        client.session?.peer?.flow()
        await client.session?.until(() => false)
        await client.check(Math.max(floors[index] ?? 0, part.model.head - this.#settings.kept))
        client.gone()
      }
      const { epoch } = this.#at(index)
      if (part.model.hasEpoch(epoch)) throw new Error(`after the restart the epoch is ${epoch} again`)
      if (this.#settings.store === 'sqlite') {
        part.model.begin(epoch)
        continue
      }
      part.model = new ModelLog(epoch)
      part.writes.forget()
    }
  }

  #write (index: number, count: number): void {
    const { part, service } = this.#at(index)
    for (; count > 0; count--) {
      part.writes.send(service, part.writes.any()).then(({ cursor }) => { if (cursor !== '') part.cursors.push(cursor) }, () => {})
    }
  }

  /** Lets some clients do something; one that is still at it goes on with that. */
  async #act (index: number): Promise<void> {
    const { part } = this.#at(index)
    for (const client of part.clients) {
      if (!this.#random.chance(0.4) || this.#acts.has(client)) continue
      const act = client.act().finally(() => this.#acts.delete(client))
      act.catch(() => {})
      this.#acts.set(client, act)
    }
  }

  async #quiesce (): Promise<void> {
    for (const part of this.#parts) await part.writes.settled()
    await Promise.all(this.#acts.values())
  }

  #at (index: number) {
    const part = this.#parts[index]
    const service = this.#world.services[index]
    if (!part || !service) throw new Error('there is no such resource')
    return { part, service, epoch: service.epoch }
  }
}

/** The answer to a write that is sent until the stream has room for it. */
async function accepted (write: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await write()
    if (answer.status !== overloaded) return answer
    await new Promise(resolve => setImmediate(resolve))
  }
}

import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { subprotocol } from '../../protocol/index.ts'
import { type Inbox, type Person, ada, build, connect, listen, request, stores } from '../helper.ts'

const subscribers = 200
const records = 1000
const rate = 5000 // writes a second
const duration = 4000 // milliseconds
const jobs = 50

interface Change { op: string, id: string, position: number, version?: string, record?: Person }
interface Message { type: string, cursor?: string, records?: Person[], changes?: Change[] }

const pick = (limit: number): number => Math.floor(Math.random() * limit)
const person = (): typeof ada => ({ ...ada, age: pick(100), job: `job ${pick(jobs)}` })

/** A subscriber that keeps a view, and sees to it that what comes can be. */
class Viewer {
  readonly where: object
  readonly #inbox: Inbox
  readonly #view = new Map<string, Person>()
  readonly #versions = new Map<string, string>()
  #position = 0

  constructor (inbox: Inbox, where: object) {
    this.#inbox = inbox
    this.where = where
  }

  /** Takes what comes until the answer to a filter message; the cursor there. */
  async follow (): Promise<string> {
    for (;;) {
      const message = await this.#inbox.nextJson<Message & Record<string, unknown>>()
      for (const record of message.records ?? []) {
        if (this.#view.has(record.id)) throw new Error(`${record.id} came twice`)
        this.#view.set(record.id, record)
      }
      for (const change of message.changes ?? []) this.#take(change)
      if (message.type === 'reset' || message.type === 'error') throw new Error(JSON.stringify(message))
      if (message.type === 'filtered') return message.cursor ?? ''
      if (message.cursor !== undefined) this.#position = Math.max(this.#position, Number(message.cursor.split('.').at(-1)))
    }
  }

  get view (): Person[] {
    return [...this.#view.values()].sort((a, b) => a.id < b.id ? -1 : 1)
  }

  #take ({ op, id, position, version, record }: Change): void {
    if (position <= this.#position) throw new Error(`position ${position} came after ${this.#position}`)
    this.#position = position
    if (!record || version === undefined) {
      if (!this.#view.delete(id)) throw new Error(`${op} of ${id}, which was not in view`)
      return
    }
    if (this.#versions.get(id) === version) throw new Error(`version ${version} came twice`)
    this.#versions.set(id, version)
    this.#view.set(id, record)
  }
}

for (const [name, store] of Object.entries(stores)) {
  t.test(`${subscribers} snapshots taken while writes go on, over ${name}, become exact views`, { timeout: 100_000 }, async t => {
    const app = await build(t, { repository: store(t) })
    const people = app.changeStreams.people
    const origin = await listen(app)
    const ids = (await people.createAll(Array.from({ length: records }, person))).map(({ id }) => id)
    const write = async (): Promise<void> => {
      const chance = Math.random()
      const index = pick(ids.length)
      const id = ids[index] ?? ''
      if (chance < 0.1) ids.push((await people.create(person())).id)
      else if (chance < 0.2) await people.delete(ids.splice(index, 1)[0] ?? '')
      else await people.patch(id, chance < 0.6 ? { job: `job ${pick(jobs)}` } : { age: pick(100) }).catch((error: { code?: string }) => { if (error.code !== 'not-found') throw error }) // deleted meanwhile
    }

    const wheres = [(one: number) => ({ job: `job ${one}` }), (one: number) => ({ job: { $in: [`job ${one}`, 'job 1'] }, age: { $lt: 50 } }), (one: number) => ({ age: { $gte: one, $lt: one + 2 } })]
    const join = async (index: number): Promise<Viewer> => {
      const where = wheres[index % wheres.length]?.(pick(jobs)) ?? {}
      const inbox = await connect(t, `${origin}/updates?snapshot=true&where=${encodeURIComponent(JSON.stringify(where))}`, subprotocol)
      inboxes.push(inbox)
      return new Viewer(inbox, where)
    }
    const inboxes: Inbox[] = []
    const joining: Promise<Viewer>[] = []
    const moments = Array.from({ length: subscribers }, () => pick(duration * 0.9)).sort((a, b) => a - b)
    const began = performance.now()
    let written = 0
    for (let elapsed = 0; elapsed < duration; elapsed = performance.now() - began) {
      const due = Math.min(Math.ceil(elapsed * rate / 1000) - written, 200)
      await Promise.all(Array.from({ length: due }, write))
      written += due
      while ((moments[joining.length] ?? Infinity) <= elapsed) joining.push(join(joining.length))
      await turn()
    }
    const achieved = Math.round(written / (performance.now() - began) * 1000)
    while (joining.length < subscribers) joining.push(join(joining.length))
    const viewers = await Promise.all(joining)
    t.comment(`${achieved} writes a second, ${written} in all`)
    for (const inbox of inboxes) inbox.send({ type: 'filter' })
    for (const viewer of viewers) {
      const cursor = await viewer.follow()
      const list = await request<Person[]>(`${origin}/people?limit=1000&where=${encodeURIComponent(JSON.stringify(viewer.where))}`)
      if (list.headers.get('change-cursor') !== cursor) throw new Error(`the view is of ${cursor}, the list of ${list.headers.get('change-cursor')}`)
      if (JSON.stringify(viewer.view) !== JSON.stringify(list.body)) throw new Error(`${JSON.stringify(viewer.where)}: ${viewer.view.length} records in view, ${list.body.length} in the list`)
    }
    t.equal(viewers.length, subscribers, 'each view is the list at its cursor, and each change came once, in order')
  })
}

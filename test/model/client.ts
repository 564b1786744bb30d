import { isDeepStrictEqual } from 'node:util'
import { type ModelLog, readCursor } from './log.ts'
import type { Random } from './random.ts'
import { type FeedPage, type Service, query } from './service.ts'
import { type Moment, type Opening, Session } from './session.ts'
import { TextTranscript } from './text.ts'
import { type Filter, type Kinds, type Plain, marker, where } from './things.ts'
import { Transcript, type View } from './transcript.ts'

/** What one client shares with the others: the app, chance, and every cursor that was ever handed out. */
export interface Surroundings {
  readonly random: Random
  readonly cursors: string[]
  readonly ids: readonly string[]
  /** Bytes of a page of the feed. */
  readonly maxPage: number
  service (): Service
}

/** Part of what has come, checked in the order in which it came. */
interface Check { check (floor: number): void }

const propertyNames = ['n', 'o', 's', 'tags']

/** A subscriber that comes, goes, and comes back with a cursor, with or without a view of the records. */
export class Client {
  readonly #around: Surroundings
  readonly #keepsView: boolean
  readonly #view: View = { records: null }
  readonly #checks: Check[] = []
  readonly #model: () => ModelLog
  session: Session | null = null
  /** Where its view can be gone on from, and with which filter. */
  #place: { readonly cursor: string, readonly filter: Filter } | null = null

  constructor (around: Surroundings, model: () => ModelLog) {
    this.#around = around
    this.#model = model
    this.#keepsView = around.random.chance(0.6)
  }

  /** Opens a session, reads a feed, or does something with the session that is open. */
  async act (): Promise<void> {
    const { random } = this.#around
    const { session } = this
    if (!session?.isOpen) {
      this.#depart()
      if (this.#keepsView) await this.#openView()
      else if (random.chance(0.2)) await this.#readFeed(this.#filter(), random.chance(0.8) ? this.#anyCursor() : 'start')
      else await this.#openTail()
      return
    }
    await random.pick<() => Promise<void>>([
      async () => session.peer?.stall(),
      async () => session.peer?.flow(),
      async () => await session.leave('abrupt'),
      async () => await (random.chance(0.5) ? session.leave('graceful') : this.#stop(session)),
      async () => await this.#refilter(session),
      async () => await this.#refilter(session)
    ])()
  }

  /** Waits until it has everything up to `head`; `markedAt` is where a record that every filter lets through was saved. */
  async catchUp (head: number, { id, markedAt }: { id: string, markedAt: number }): Promise<void> {
    const { session } = this
    if (!session) return
    session.peer?.flow()
    const kinds = session.filter.filter
    if (session.opening.reader === 'text') {
      const verb = kinds === 'saves' ? 'Saved' : 'Deleted'
      return await session.until(() => session.texts.some(text => text.startsWith(`${verb} thing [${id}]`)))
    }
    if (session.opening.reader === 'json') {
      await session.until(() => session.synced && session.requested.length === 0)
      if (session.isOpen && !isMarked(session.filter)) await session.refilter(session.filter)
    }
    const target = kinds === 'saves' && isMarked(session.filter) ? markedAt : head
    await session.until(() => session.synced && session.requested.length === 0 && readCursor(session.lastCursor ?? '').position >= target)
  }

  /** Checks all that has come since the last time. */
  async check (floor: number): Promise<void> {
    for (const check of this.#checks) check.check(floor)
    this.#checks.splice(0, this.#checks.length - 1)
    if (this.#view.records === null && !this.session?.incomplete) this.#place = null
    for (const message of this.session?.messages.slice(-3) ?? []) if (message.cursor) this.#around.cursors.push(message.cursor)
  }

  /** The log is about to become another one, or its server another. */
  gone (): void {
    this.#depart()
    this.session = null
  }

  /** Notes where to go on from, as far as a client can know it. */
  #depart (): void {
    const { session } = this
    if (!session) return
    this.session = null
    if (!this.#keepsView) return
    const { opening: { reader } } = session
    const unsure = session.incomplete || session.requested.length > 0 || session.filter.filter !== 'all' || (!session.opening.snapshot && session.requests.length > 0)
    const cursor = reader === 'sse' ? session.lastEventId || (session.opening.byEventId || session.opening.since !== 'now' ? session.opening.since : '') : session.lastCursor
    if (session.code === 410 || session.code === 4410 || session.requests.some(one => one.filter !== 'all')) this.#place = null
    else if (cursor && session.messages.length > 0) this.#place = unsure ? null : { cursor, filter: session.filter }
    else if (session.opening.snapshot && session.opening.since === 'now') this.#place = null
  }

  async #openView (): Promise<void> {
    const { random } = this.#around
    const place = this.#place
    if (!place) {
      const filter = { ...this.#filter(), filter: 'all' } as const
      if (random.chance(0.25)) return await this.#list(filter)
      const reader = random.pick(['json', 'json', 'sse'] as const)
      return await this.#open({ reader, filter: this.#marked(filter, reader === 'json' ? 0.5 : 1), since: 'now', snapshot: true, byEventId: false })
    }
    if (random.chance(0.25)) return await this.#readFeed(place.filter, place.cursor)
    const reader = random.pick(['json', 'json', 'sse'] as const)
    if (reader === 'sse' && !isMarked(place.filter)) return await this.#readFeed(place.filter, place.cursor)
    await this.#open({ reader, filter: place.filter, since: place.cursor, snapshot: random.chance(0.7), byEventId: reader === 'sse' && random.chance(0.6) })
  }

  async #openTail (): Promise<void> {
    const { random } = this.#around
    const reader = random.pick(['json', 'text', 'sse'] as const)
    const since = random.pick(['now', 'start', this.#anyCursor(), this.#anyCursor()])
    const filter = this.#marked(this.#filter(), reader === 'json' ? 0.5 : 1)
    await this.#open({
      reader,
      filter: reader === 'text' ? { ...filter, fields: null } : filter,
      since,
      snapshot: false,
      byEventId: reader === 'sse' && since !== 'now' && random.chance(0.5)
    })
  }

  async #open (opening: Opening): Promise<void> {
    const session = new Session(this.#around.service(), opening)
    this.session = session
    this.#checks.push(opening.reader === 'text' ? new TextTranscript(session, this.#model()) : new Transcript(session, this.#model(), this.#keepsView ? this.#view : { records: null }))
    await session.open()
  }

  async #stop (session: Session): Promise<void> {
    if (session.opening.reader === 'sse') return await session.leave('abrupt')
    await session.peer?.send(session.opening.reader === 'json' ? '{"type":"stop"}' : ' Stop\n')
    session.peer?.flow()
    await session.until(() => false)
  }

  async #refilter (session: Session): Promise<void> {
    const { random } = this.#around
    const { opening: { reader, filter: { where } } } = session
    if (reader === 'sse' || session.requested.length > 20) return
    const asked = this.#filter()
    if (reader === 'text') return await session.refilter({ filter: asked.filter, where, fields: null })
    const filter = this.#marked(random.chance(0.85) && this.#keepsView ? { ...asked, filter: 'all' } : asked, 0.5)
    if (!session.requested.some(one => isDeepStrictEqual(one, filter))) await session.refilter(filter)
  }

  async #list (filter: Filter): Promise<void> {
    const { records, cursor } = await this.#around.service().list(filter.where, filter.fields)
    const model = this.#model()
    this.#around.cursors.push(cursor)
    this.#checks.push({
      check: () => {
        this.#view.records = new Map(records.map(record => [String(record['id']), record]))
        const expected = model.view(filter.where, filter.fields, readCursor(cursor).position)
        if (!isDeepStrictEqual(this.#view.records, expected)) throw new Error(`the list of ${JSON.stringify(filter)} is not that of ${cursor}: ${JSON.stringify(records)}, not ${JSON.stringify([...expected.values()])}`)
      }
    })
    this.#place = { cursor, filter }
  }

  /** Reads some pages behind `since`. */
  async #readFeed (filter: Filter, since: string): Promise<void> {
    const service = this.#around.service()
    const { random } = this.#around
    const model = this.#model()
    const moment = async (): Promise<Moment> => ({ floor: await service.floor(), head: service.position })
    const before = await moment()
    const limit = random.between(1, 6)
    const { where, fields } = filter
    const page = await service.feed(query({ filter: filter.filter, since, limit: String(limit), ...(where && { where: JSON.stringify(where) }), ...(fields && { fields: fields.join() }) }))
    const after = await moment()
    const goesOn = this.#place?.cursor === since
    this.#checks.push({ check: () => this.#checkPage({ filter, since, limit, page, before, after, model }) })
    if (page.status !== 200) {
      this.#place = null
      return
    }
    this.#around.cursors.push(page.cursor)
    if (goesOn) this.#place = { cursor: page.cursor, filter }
    if (page.more && random.chance(0.7)) await this.#readFeed(filter, page.cursor)
  }

  #checkPage ({ filter, since, limit, page, before, after, model }: { filter: Filter, since: string, limit: number, page: FeedPage, before: Moment, after: Moment, model: ModelLog }): void {
    const fail = (why: string): never => { throw new Error(`${why}: ${JSON.stringify({ filter, since, limit, before, after, page })}`) }
    const from = since === 'start' ? { epoch: null, position: after.floor } : readCursor(since)
    if (page.status !== 200) {
      if (page.status !== 410 || ((from.epoch === null || model.hasEpoch(from.epoch)) && from.position >= after.floor && from.position <= before.head && !(since === 'start' && before.floor < after.floor))) fail('the feed refused what it should have')
      return
    }
    if (from.epoch !== null && !model.hasEpoch(from.epoch)) fail('the feed goes on in another log')
    const upTo = readCursor(page.cursor).position
    const least = since === 'start' ? before.floor : from.position
    const told = page.changes.map(({ at, ...told }) => told)
    const fits = Array.from({ length: from.position - least + 1 }, (_, index) => model.told(filter, least + index, upTo)).some(expected => isDeepStrictEqual(told, expected.map(one => ({ ...one }))))
    if (!fits) fail(`the model has ${JSON.stringify(model.told(filter, from.position, upTo))}`)
    if (told.length > limit || (told.length < limit && upTo < before.head && !this.#isFull(page, model.told(filter, upTo, after.head))) || (page.more !== (upTo < after.head) && before.head === after.head)) fail('the page ends where it should not')
    for (const { op, id, record } of told) {
      if (op === 'save') this.#view.records?.set(String(id), record as Plain)
      else this.#view.records?.delete(String(id))
    }
  }

  /** Whether the page has its bytes, or what comes next would be too much. */
  #isFull ({ changes }: FeedPage, [next]: readonly object[]): boolean {
    const { maxPage } = this.#around
    const size = changes.reduce((sum, change) => sum + Buffer.byteLength(JSON.stringify(change)), 0)
    const at = changes[0]?.['at']
    return size >= maxPage || (next !== undefined && changes.length > 0 && size + Buffer.byteLength(JSON.stringify({ ...next, at })) > maxPage)
  }

  #anyCursor (): string {
    const { random, cursors } = this.#around
    const cursor = cursors.length > 0 ? random.pick(cursors) : 'start'
    if (cursor === 'start' || !random.chance(0.05)) return cursor
    const { epoch, position } = readCursor(cursor)
    return random.chance(0.5) ? `${epoch}.${position + 1000}` : `x${epoch}.${position}`
  }

  #filter (): Filter {
    const { random, ids } = this.#around
    return {
      filter: random.pick<Kinds>(['all', 'all', 'saves', 'deletes']),
      where: random.chance(0.2) ? null : where(random, ids),
      fields: random.chance(0.7) ? null : propertyNames.filter(name => name === 's' || random.chance(0.4))
    }
  }

  /** The filter, and with it, by chance, the records that are written to be waited for. */
  #marked (filter: Filter, chance: number): Filter {
    return filter.where && this.#around.random.chance(chance) ? { ...filter, where: { $or: [{ n: marker }, filter.where] } } : filter
  }
}

function isMarked ({ where }: Filter): boolean {
  return where === null || isDeepStrictEqual((where['$or'] as Plain[] | undefined)?.[0], { n: marker })
}

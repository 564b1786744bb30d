import { type IncomingMessage, Agent, request as httpRequest } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { Finding } from './finding.ts'
import { type Change, Observer, differences, digest, sameMap } from './observer.ts'
import type { Fuzzed } from './resources.ts'

const pace = 30 // milliseconds between two writes
const patience = 20_000 // milliseconds: for an answer, or for what must come in the end

interface Reply { readonly status: number, readonly headers: IncomingMessage['headers'], readonly body: string }

/** A client that has one connection and asks one thing at a time. */
class Client {
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  constructor (port: number) {
    this.#port = port
  }

  async ask (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> {
    return await new Promise((resolve, reject) => {
      const json = body === undefined ? undefined : JSON.stringify(body)
      const request = httpRequest({ port: this.#port, host: '127.0.0.1', agent: this.#agent, method, path, headers: { ...(json && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) }), ...headers } }, response => {
        let text = ''
        response.setEncoding('utf8').on('data', chunk => { text += chunk }).on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text })).on('error', reject)
      })
      request.setTimeout(patience, () => request.destroy(new Finding('a polite request without an answer', `${method} ${path}`)))
      request.on('error', error => reject(error instanceof Finding ? error : new Finding('a polite request failed', `${method} ${path}: ${String(error)}`)))
      request.end(json)
    })
  }

  close (): void {
    this.#agent.destroy()
  }
}

/**
 * One resource's polite clients: a writer of numbered records, which also deletes some of its own, and beside it those who read in
 * every way. They keep to the protocol and must get all of it, once and in order, whatever others do.
 */
export class Polite {
  readonly #resource: Fuzzed
  readonly #port: number
  readonly #writer: Client
  readonly #lister: Client
  readonly #feeder: Client
  /** Told every change of the writer's: the readers with a `where`. */
  readonly #tellers: Observer[] = []
  /** Have a view of all records. */
  readonly #viewers: Observer[] = []
  /** What the writer has done, in order, as the readers are to be told. */
  readonly #done: string[] = []
  #state: 'writing' | 'settling' | 'left' = 'writing'
  #running: Promise<unknown>[] = []
  #failure: unknown

  private constructor (resource: Fuzzed, port: number) {
    this.#resource = resource
    this.#port = port
    this.#writer = new Client(port)
    this.#lister = new Client(port)
    this.#feeder = new Client(port)
  }

  static async join (resource: Fuzzed, port: number): Promise<Polite> {
    const polite = new Polite(resource, port)
    const where = resource.polite && `where=${encodeURIComponent(JSON.stringify(resource.polite.where))}`
    await Promise.all([
      polite.#lister.ask('GET', `${resource.path}?limit=1`), // so that its connection is there from the start
      polite.#socket('?snapshot=true', true, polite.#viewers),
      polite.#events('?snapshot=true', polite.#viewers),
      ...where ? [polite.#socket(`?${where}`, true, polite.#tellers), polite.#socket(`?${where}`, false, polite.#tellers), polite.#events(`?${where}`, polite.#tellers)] : []
    ])
    if (where) {
      const start = await polite.#feeder.ask('GET', `${resource.updates}`)
      const observer = new Observer('feed with a where')
      observer.cursor = (JSON.parse(start.body) as { cursor: string }).cursor
      polite.#tellers.push(observer)
      const written = polite.#run(() => polite.#write())
      polite.#run(() => polite.#follow(observer, where, written))
    }
    return polite
  }

  /** What is wrong by now, at once; for the rest see `settle`. */
  check (): void {
    if (this.#failure !== undefined) throw this.#failure
    for (const { name, ended } of [...this.#tellers, ...this.#viewers]) if (ended !== null) throw new Finding(`a polite subscriber was cut off (${name})`, `${this.#resource.name}: ${ended}`)
  }

  /** Stops writing, and throws where somebody has not got all, or something else. */
  async settle (): Promise<void> {
    this.#state = 'settling'
    await Promise.all(this.#running)
    this.check()
    const { cursor, records } = await this.#list()
    for (const observer of this.#viewers) await this.#until(observer, () => positionOf(observer.cursor) >= positionOf(cursor) || (observer.synced && sameMap(observer.view, records)))
    for (const observer of this.#tellers) await this.#until(observer, () => observer.told.length >= this.#done.length)
    this.check()
    for (const { name, told } of this.#tellers) this.#compare(name, told)
    for (const { name, view } of this.#viewers) if (!sameMap(view, records)) throw new Finding(`a polite view is not what GET says (${name})`, `${this.#resource.name}: ${differences(view, records)}`)
  }

  leave (): void {
    this.#state = 'left'
    for (const client of [this.#writer, this.#lister, this.#feeder]) client.close()
    for (const observer of [...this.#tellers, ...this.#viewers]) observer.close()
  }

  #run (work: () => Promise<void>): Promise<void> {
    const done = work().catch(error => {
      if (this.#state !== 'left') this.#failure ??= error
    })
    this.#running.push(done)
    return done
  }

  async #write (): Promise<void> {
    const { path, polite } = this.#resource
    if (!polite) return
    const ids: string[] = []
    for (let number = 0; this.#state === 'writing'; number++) {
      const created = await this.#writer.ask('POST', path, polite.record(number))
      if (created.status !== 201) throw new Finding(`a polite POST was answered with ${created.status}`, created.body)
      const { id } = JSON.parse(created.body) as { id: string }
      ids.push(id)
      this.#done.push(`save ${id}`)
      const old = number % 3 === 2 ? ids.shift() : undefined
      if (old !== undefined) {
        const deleted = await this.#writer.ask('DELETE', `${path}/${old}`)
        if (deleted.status !== 204) throw new Finding(`a polite DELETE was answered with ${deleted.status}`, deleted.body)
        this.#done.push(`delete ${old}`)
      }
      await delay(pace)
    }
  }

  async #follow (observer: Observer, where: string, written: Promise<void>): Promise<void> {
    const read = async (wait: number): Promise<void> => {
      const { status, body } = await this.#feeder.ask('GET', `${this.#resource.updates}?${where}&since=${observer.cursor}&wait=${wait}`)
      if (status !== 200) throw new Finding(`a polite feed was answered with ${status}`, body)
      const page = JSON.parse(body) as { changes: Change[], cursor: string }
      for (const change of page.changes) observer.change(change)
      observer.cursor = page.cursor
    }
    while (this.#state === 'writing') await read(1)
    await written
    for (const deadline = performance.now() + patience; observer.told.length < this.#done.length && performance.now() < deadline;) await read(1)
  }

  async #socket (query: string, json: boolean, group: Observer[]): Promise<void> {
    const observer = new Observer(`${json ? 'JSON' : 'text'} ${query.startsWith('?where') ? 'with a where' : 'with a snapshot'}`)
    group.push(observer)
    const socket = new WebSocket(`ws://127.0.0.1:${this.#port}${this.#resource.updates}${query}`, json ? 'change-stream.v1' : [])
    observer.close = () => socket.terminate()
    socket.on('error', () => {}).on('close', code => { if (this.#state !== 'left') observer.ended ??= `close ${code}` })
    socket.on('message', data => this.#heard(() => {
      if (json) observer.message(JSON.parse(String(data)))
      else observer.text(String(data))
    }))
    await Promise.race([new Promise(resolve => socket.once('open', resolve)), delay(patience, undefined, { ref: false })])
    if (json) await this.#until(observer, () => observer.synced)
  }

  async #events (query: string, group: Observer[]): Promise<void> {
    const observer = new Observer(`SSE ${query.startsWith('?where') ? 'with a where' : 'with a snapshot'}`)
    group.push(observer)
    const request = httpRequest({ port: this.#port, host: '127.0.0.1', path: this.#resource.updates + query, headers: { accept: 'text/event-stream' } }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => this.#heard(() => {
        const blocks = (text + chunk).split('\n\n')
        text = blocks.pop() ?? ''
        for (const block of blocks) observer.event(block)
      })).on('close', () => { if (this.#state !== 'left') observer.ended ??= 'the response ended' })
    })
    observer.close = () => request.destroy()
    request.on('error', () => {}).end()
    await this.#until(observer, () => observer.synced)
  }

  #heard (hear: () => void): void {
    try {
      hear()
    } catch (error) {
      this.#failure ??= new Finding('a polite subscriber heard what is no message', String(error))
    }
  }

  async #list (): Promise<{ cursor: string, records: Map<string, string> }> {
    const records = new Map<string, string>()
    let cursor = ''
    for (let at: string | undefined = `${this.#resource.path}?limit=1000`; at !== undefined;) {
      const { status, headers, body } = await this.#lister.ask('GET', at)
      if (status !== 200) throw new Finding(`a polite list was answered with ${status}`, body)
      for (const record of JSON.parse(body) as { id: string }[]) records.set(record.id, digest(record))
      cursor = String(headers['change-cursor'])
      at = /<([^>]*)>; *rel="next"/.exec(String(headers.link))?.[1]
    }
    return { cursor, records }
  }

  async #until (observer: Observer, condition: () => boolean): Promise<void> {
    const deadline = performance.now() + patience
    while (!condition()) {
      this.check()
      if (performance.now() > deadline) return this.#compareLate(observer)
      await delay(5)
    }
  }

  #compareLate ({ name, told, cursor }: Observer): never {
    throw new Finding(`a polite subscriber misses what has been written (${name})`, `${this.#resource.name}: it was told ${told.length} of ${this.#done.length}, its cursor is ${cursor}`)
  }

  #compare (name: string, told: readonly string[]): void {
    const index = this.#done.findIndex((each, place) => told[place] !== each)
    if (index < 0 && told.length === this.#done.length) return
    const place = index < 0 ? this.#done.length : index
    throw new Finding(`a polite subscriber was told something else (${name})`, `${this.#resource.name}: number ${place} of ${this.#done.length} is ${told[place]}, not ${this.#done[place]}`)
  }
}

function positionOf (cursor: string): number {
  return Number(cursor.split('.').at(-1) ?? -1)
}

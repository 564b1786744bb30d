import { readFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import ts from 'typescript'

const silence = 30_000
const id = '01a20534-c25c-7000-9154-5bef6f8084dc'

interface Timer { readonly ms: number, readonly act: () => void }
interface Message { readonly type?: string, readonly op?: string, readonly [property: string]: unknown }

/** A connection that the example has opened, played by the test. */
abstract class Peer {
  readonly url: URL
  closed = false

  constructor (url: string) {
    this.url = new URL(url)
  }

  close (): void {
    this.closed = true
  }

  abstract say (message: Message, cursor?: string): void
  /** The network fails. */
  abstract drop (): void
  /** A proxy or the server answers with a status. */
  abstract refuse (): void
}

class Socket extends Peer {
  onmessage: ((event: { data: string }) => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null
  onerror: (() => void) | null = null

  say (message: Message): void {
    const changes = message.op === undefined ? message : { type: 'changes', changes: [message], cursor: message['cursor'] }
    this.onmessage?.({ data: JSON.stringify(changes) })
  }

  drop (code = 1006): void {
    this.onclose?.({ code })
  }

  refuse (): void {
    this.onerror?.()
    this.onclose?.({ code: 1006 })
  }
}

class Source extends Peer {
  readyState = 0
  onerror: (() => void) | null = null
  #lastEventId = ''
  readonly #listeners = new Map<string, (event: { data: string, lastEventId: string }) => void>()

  addEventListener (type: string, listener: (event: { data: string, lastEventId: string }) => void): void {
    this.#listeners.set(type, listener)
  }

  say (message: Message): void {
    if (this.closed) return
    this.readyState = 1
    if (typeof message['cursor'] === 'string') this.#lastEventId = message['cursor']
    this.#listeners.get(message.op ?? message.type ?? '')?.({ data: JSON.stringify(message), lastEventId: this.#lastEventId })
  }

  drop (): void {
    this.readyState = 0
    this.onerror?.()
  }

  refuse (): void {
    this.readyState = 2
    this.onerror?.()
  }
}

/** Runs an example in a world of the test's own: its connections, its clock, its chance, and what the server answers without a stream. */
class World<P extends Peer> {
  readonly peers: P[] = []
  readonly timers = new Set<Timer>()
  readonly people = new Map<string, object>()
  readonly refusals: number[] = []
  random = 0.5
  /** What a plain request is answered with; 0: not at all. */
  status = 0

  constructor (file: string, address: string, Class: new (url: string) => P) {
    const source = readFileSync(new URL(`../../examples/${file}`, import.meta.url), 'utf8')
    const code = ts.transpileModule(source, { compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 } }).outputText
    const { peers } = this
    const Recorded = class {
      constructor (url: string) {
        const peer = new Class(url)
        peers.push(peer)
        return peer
      }
    }
    const module = { exports: {} as { follow: (address: string, people: Map<string, object>, refused: (status: number) => void) => void } }
    runInNewContext(code, {
      exports: module.exports,
      WebSocket: Recorded,
      EventSource: Recorded,
      AbortSignal,
      console,
      Math: { random: () => this.random, min: Math.min },
      fetch: async (url: string) => {
        if (this.status === 0 || !url.startsWith('http:')) throw new TypeError('fetch failed')
        return { status: this.status }
      },
      setTimeout: (act: () => void, ms: number): Timer => {
        const timer = { act, ms }
        this.timers.add(timer)
        return timer
      },
      clearTimeout: (timer: Timer) => this.timers.delete(timer)
    })
    module.exports.follow(address, this.people, status => this.refusals.push(status))
  }

  /** The connection of now. */
  get peer (): P {
    const peer = this.peers.at(-1)
    if (!peer) throw new Error('there is no connection')
    return peer
  }

  /** The one timer there is, once the example has done what it had to. */
  async timer (): Promise<Timer> {
    await this.settled()
    const [timer, ...others] = this.timers
    if (!timer || others.length > 0) throw new Error(`${this.timers.size} timers, not one`)
    return timer
  }

  /** Lets the time of the one timer pass. */
  async pass (): Promise<number> {
    const timer = await this.timer()
    this.timers.delete(timer)
    timer.act()
    await this.settled()
    return timer.ms
  }

  async settled (): Promise<void> {
    await new Promise(resolve => setImmediate(resolve))
  }

  /** A connection comes to the live end, with one record. */
  sync (cursor: string): void {
    this.peer.say({ type: 'ready', filter: {} })
    this.peer.say({ type: 'snapshot', records: [{ id }] })
    this.peer.say({ type: 'synced', cursor })
  }
}

const examples: readonly { readonly file: string, readonly world: () => World<Socket | Source> }[] = [
  { file: 'client.ts', world: () => new World<Socket | Source>('client.ts', 'ws://localhost/updates', Socket) },
  { file: 'events.ts', world: () => new World<Socket | Source>('events.ts', 'http://localhost/updates', Source) }
]

for (const { file, world } of examples) {
  t.test(file, async t => {
    t.test('it takes what it is told, and comes back to where it was', async t => {
      const it = world()
      t.same(Object.fromEntries(it.peer.url.searchParams), { snapshot: 'true', since: 'now' })
      it.sync('e.1')
      it.peer.say({ op: 'save', id: 'b', record: { id: 'b' }, cursor: 'e.2' })
      it.peer.say({ op: 'delete', id, cursor: 'e.3' })
      t.same([...it.people], [['b', { id: 'b' }]])
      it.peer.say({ type: 'bookmark', cursor: 'e.4' })
      it.peer.drop()
      await it.pass()
      t.equal(it.peers.length, 2)
      t.equal(it.peer.url.searchParams.get('since'), 'e.4')
      it.peer.say({ type: 'ready', cursor: 'e.4' })
      t.equal(it.people.size, 1, 'the view is kept')
      it.peer.say({ type: 'reset', reason: '', cursor: '' })
      t.equal(it.people.size, 0)
    })

    t.test('one that was lost before its snapshot was complete starts again', async t => {
      const it = world()
      it.peer.say({ type: 'ready' })
      it.peer.say({ type: 'snapshot', records: [{ id }] })
      it.peer.drop()
      await it.pass()
      t.equal(it.peer.url.searchParams.get('since'), 'now')
      it.peer.say({ type: 'ready' })
      t.equal(it.people.size, 0)
    })

    t.test('it comes back later and later, at random, and at once again when all has been well', async t => {
      for (const random of [0, 0.25, 0.999]) {
        const it = world()
        it.random = random
        for (const longest of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]) {
          it.peer.drop()
          t.equal(await it.pass(), random * longest)
        }
        it.sync('e.1')
        it.peer.drop()
        t.equal(await it.pass(), random * 1000)
      }
    })

    t.test('after a bye it comes back when it is told to, and later and later if nobody is there', async t => {
      const it = world()
      it.sync('e.1')
      it.peer.say({ type: 'bye', cursor: 'e.1', retryAfter: 412 })
      it.peer.drop()
      t.equal(await it.pass(), 412)
      for (const longest of [2000, 4000]) {
        it.peer.refuse()
        t.equal(await it.pass(), it.random * longest)
      }
    })

    t.test('a connection that says nothing for two heartbeats is left, and heard no more', async t => {
      const it = world()
      t.equal((await it.timer()).ms, silence, 'also one that never opens')
      it.sync('e.1')
      const [watchdog] = it.timers
      it.peer.say({ type: 'bookmark', cursor: 'e.2' })
      t.equal((await it.timer()).ms, silence)
      t.notOk(it.timers.has(watchdog as Timer), 'each message starts it anew')
      const silent = it.peer
      t.equal(await it.pass(), silence)
      t.ok(silent.closed)
      silent.say({ op: 'delete', id, cursor: 'e.9' })
      silent.drop()
      t.equal(it.people.size, 1)
      t.equal(await it.pass(), it.random * 1000)
      t.equal(it.peers.length, 2)
      t.equal(it.peer.url.searchParams.get('since'), 'e.2')
    })

    for (const status of [401, 403]) {
      t.test(`it gives up at ${status}, and says so`, async t => {
        const it = world()
        it.sync('e.1')
        it.status = status
        for (let attempt = 0; it.refusals.length === 0 && attempt < 3; attempt++) {
          it.peer.refuse()
          await it.settled()
          if (it.timers.size > 0) await it.pass()
        }
        t.same(it.refusals, [status])
        t.equal(it.timers.size, 0)
        t.ok(it.peer.closed)
      })
    }

    for (const status of [0, 200, 404, 429, 500, 502, 503, 504]) {
      t.test(`it comes back where ${status === 0 ? 'nobody' : status} answers, by a connection of its own`, async t => {
        const it = world()
        it.sync('e.1')
        it.status = status
        for (let attempt = 1; attempt < 5; attempt++) {
          const { peer } = it
          peer.refuse()
          await it.pass()
          t.ok(peer.closed)
          t.equal(it.peers.length, attempt + 1)
        }
        it.sync('e.1')
        t.equal(it.peer.url.searchParams.get('since'), 'e.1')
        t.same(it.refusals, [])
      })
    }
  })
}

t.test('client.ts goes by the close code', async (t: Test) => {
  for (const [code, refused] of [[1001, []], [1006, []], [1011, []], [4410, []], [4429, []], [4401, [401]], [4403, [403]]] as const) {
    const it = new World('client.ts', 'ws://localhost/updates', Socket)
    it.sync('e.1')
    it.peer.drop(code)
    await it.settled()
    t.same(it.refusals, refused, String(code))
    t.equal(it.timers.size, refused.length === 0 ? 1 : 0, String(code))
  }
})

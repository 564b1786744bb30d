import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { address, start } from '../bin/server.ts'
import { following, freePort } from '../examples/follower.ts'
import { type Answer, Inbox, type Person, ada, request } from '../helper.ts'
import { caddy, nginx } from './proxy.ts'

/** What writers were answered, by the name of the person whom they wanted to create. */
class Writers {
  readonly answers = new Map<string, number>()
  readonly kept = new Set<string>()
  readonly others: number[] = []
  #state: 'on' | 'off' = 'on'
  readonly #ended: Promise<unknown>

  constructor (origin: string) {
    this.#ended = Promise.all(Array.from({ length: 4 }, (_, writer) => this.#write(origin, String(writer))))
  }

  async stop (): Promise<void> {
    this.#state = 'off'
    await this.#ended
  }

  async #write (origin: string, writer: string): Promise<void> {
    for (let turn = 0; this.#state === 'on'; turn++) {
      const firstName = `${writer}-${turn}`
      const { status, body } = await request<Person>(`${origin}/people`, 'POST', { ...ada, firstName })
      this.answers.set(firstName, status)
      if (status === 201) this.kept.add(firstName)
      if (status === 201 && turn % 3 > 0) {
        const method = turn % 3 === 1 ? 'PATCH' : 'DELETE'
        const answer = await request(`${origin}/people/${body.id}`, method, method === 'PATCH' ? { age: turn } : undefined)
        this.others.push(answer.status)
        if (answer.status === 204 || answer.status === 404) this.kept.delete(firstName) // 404: sent twice by the proxy
      }
      await delay(2)
    }
  }
}

/** Asks again and again, until it is stopped; what it was answered. */
class Reads {
  readonly statuses: number[] = []
  #state: 'on' | 'off' = 'on'
  readonly #ended: Promise<void>

  constructor (url: string) {
    this.#ended = this.#read(url)
  }

  async stop (): Promise<void> {
    this.#state = 'off'
    await this.#ended
  }

  async #read (url: string): Promise<void> {
    while (this.#state === 'on') this.statuses.push((await request(url)).status)
  }
}

/** Reads the whole log from a proxy, whatever becomes of the connection. */
async function tail (t: Test, origin: string, positions: number[]): Promise<void> {
  const ended = new AbortController()
  let since = 'start'
  t.teardown(() => ended.abort())
  while (!ended.signal.aborted) {
    const inbox = new Inbox(`${origin}/updates?since=${since}`, 'change-stream.v1')
    t.teardown(() => inbox.socket.terminate())
    for (;;) {
      const text = await inbox.next().catch(() => '')
      if (text === '') break
      const { changes = [], cursor, type } = JSON.parse(text) as { type: string, cursor: string, changes?: { position: number }[] }
      positions.push(...changes.map(({ position }) => position))
      if (type === 'changes' || type === 'synced') since = cursor
    }
    await delay(20)
  }
}

async function listAll (origin: string): Promise<Person[]> {
  const people: Person[] = []
  let url: string | undefined = `${origin}/people?limit=1000`
  while (url !== undefined) {
    const { status, body, headers }: Answer<Person[]> = await request(url, 'GET', undefined, { connection: 'close' })
    if (status !== 200) throw new Error(`the list was answered with ${status}`)
    people.push(...body)
    const next: string | undefined = /<([^>]+)>; rel="next"/.exec(headers.get('link') ?? '')?.[1]
    url = next === undefined ? undefined : new URL(next, url).href
  }
  return people
}

for (const kind of [nginx, caddy]) {
  t.test(`behind ${kind.name} both servers restart in turn under writes: nothing is lost, nothing comes twice, what was refused was not done`, { skip: kind.missing, timeout: 120_000 }, async t => {
    const cwd = t.testdir()
    const ports = [await freePort(), await freePort()]
    const serve = async (port: number) => {
      const run = start(t, ['--port', String(port), '--database', 'people.db', '--log-level', 'silent'], {}, cwd)
      await address(run)
      return run.child
    }
    const servers = [await serve(ports[0] ?? 0), await serve(ports[1] ?? 0)]
    const { origin } = await kind.start(t, ports.map(port => `http://127.0.0.1:${port}`))
    const followers = [following(t, 'client.ts', `${origin.replace('http', 'ws')}/updates`), following(t, 'events.ts', `${origin}/updates`)]
    const positions: number[] = []
    tail(t, origin, positions).catch(t.error)
    const writers = new Writers(origin)
    const reads = new Reads(`${origin}/people?limit=1`)
    while (writers.kept.size < 20 || positions.length < 20) await delay(5)

    for (const [index, server] of servers.entries()) {
      server.kill('SIGTERM')
      await once(server, 'exit')
      await serve(ports[index] ?? 0)
      const { size } = writers.kept
      while (writers.kept.size < size + 20 || reads.statuses.at(-1) !== 200) await delay(5)
    }
    await writers.stop()
    await reads.stop()

    const people = await listAll(origin)
    const there = people.map(({ firstName }) => firstName)
    t.same(there.filter(name => writers.answers.get(name) !== 201), [], 'no write is there that was not answered')
    t.same([...writers.kept].filter(name => !there.includes(name)), [], 'every write is there that was answered')
    t.equal(new Set(there).size, there.length, 'none was done twice')
    t.same([...new Set([...writers.answers.values(), ...writers.others])].filter(status => ![200, 201, 204, 404, 502, 503].includes(status)), [])
    if (kind === nginx) t.same([...new Set(reads.statuses)], [200], 'no read is refused')
    for (const { holds } of followers) await holds(people)
    const { headers } = await request(`${origin}/people?limit=1`)
    const last = Number(headers.get('change-cursor')?.split('.').at(-1))
    while (positions.length < last) await delay(5)
    t.same(positions, Array.from({ length: last }, (_, index) => index + 1), 'a reader has every change once, in order')
  })
}

import type { Socket } from 'node:net'
import t from 'tap'
import { subprotocol } from '../../protocol/index.ts'
import type { Retention } from '../../repository/retention.ts'
import { type Inbox, type Person, ada, build, connect, listen, stores } from '../helper.ts'

const commits = 130
const together = 20
const size = 20_000 // bytes of each record: 52 MB of changes in all
/** What may be in use besides: the memory's log, the tail, the rings, what the quick have yet to read, and what has yet to be collected. */
const bearable = 250_000_000
const mostInSocket = 1_000_000
const prompt = 2000 // milliseconds, on a busy machine

interface Message { type: string, cursor?: string, reason?: string, changes?: { position: number }[], records?: Person[] }

/** What a reader gets until `cursor`: the positions of changes, and the other messages. */
async function readUpTo (inbox: Inbox, cursor: string): Promise<{ positions: number[], types: string[] }> {
  const positions: number[] = []
  const types: string[] = []
  for (;;) {
    const message = await inbox.nextJson<Message & Record<string, unknown>>()
    positions.push(...(message.changes ?? []).map(change => change.position))
    if (message.type !== 'changes') types.push(message.type)
    if (message.cursor === cursor) return { positions, types }
  }
}

function positionOf (cursor: string): number {
  return Number(cursor.split('.').at(-1))
}

function range (after: number, upTo: number): number[] {
  return Array.from({ length: upTo - after }, (_, index) => after + 1 + index)
}

const logs: Readonly<Record<string, Partial<Retention>>> = { whole: { count: 100_000, age: 3_600_000, bytes: 1e9 }, short: { count: 100, age: 0 } }

for (const [name, store] of Object.entries(stores)) {
  for (const [log, retention] of Object.entries(logs)) {
    t.test(`readers that stop reading delay nobody and cost little, over ${name} with a log kept ${log}`, { timeout: 110_000 }, async t => {
      const app = await build(t, { repository: store(t, retention), overloadWait: 0 })
      const people = app.changeStreams.people
      const sockets = new Set<Socket>()
      app.server.on('connection', socket => sockets.add(socket))
      const origin = await listen(app)
      const join = async (query = ''): Promise<Inbox> => {
        const inbox = await connect(t, `${origin}/updates?${query}`, subprotocol)
        await readUpTo(inbox, (await inbox.nextJson<{ cursor: string }>()).cursor)
        return inbox
      }
      const { id, cursor: first } = await people.create({ ...ada, age: 0, job: 'x'.repeat(size) })
      const quick = [await join(), await join('filter=saves')]
      const json = await join()
      const view = await connect(t, `${origin}/updates?snapshot=true`, subprotocol)
      await readUpTo(view, (await view.nextJson<{ cursor: string }>()).cursor)
      const text = await connect(t, `${origin}/updates`)
      for (const { socket } of [json, view, text]) socket.pause()

      const before = process.memoryUsage()
      let cursor = first
      let slowest = 0
      let most = 0
      let inSocket = 0
      for (let commit = 1; commit <= commits; commit++) {
        const saved = await Promise.all(Array.from({ length: together }, (_, index) => people.patch(id, { age: commit * together + index, job: String(index % 10).repeat(size) })))
        const began = performance.now()
        const after = positionOf(cursor)
        cursor = saved.at(-1)?.cursor ?? cursor
        for (const inbox of quick) {
          const { positions } = await readUpTo(inbox, cursor)
          if (positions.join() !== range(after, positionOf(cursor)).join()) t.fail(`a quick reader got ${positions.join()} behind ${after}`)
        }
        slowest = Math.max(slowest, performance.now() - began)
        const { heapUsed, external } = process.memoryUsage()
        most = Math.max(most, heapUsed + external - before.heapUsed - before.external)
        inSocket = Math.max(inSocket, ...[...sockets].map(socket => socket.writableLength))
      }
      t.comment(`${(commits * together * size / 1e6).toFixed()} MB of changes: at most ${(most / 1e6).toFixed(1)} MB more in use, ${inSocket} bytes in one socket, ${slowest.toFixed()} ms until the quick had a commit`)
      t.ok(most < bearable, 'memory stays bounded')
      t.ok(inSocket < mostInSocket, 'so does what waits in a socket')
      t.ok(slowest < prompt, 'the others get everything promptly')

      for (const { socket } of [json, view, text]) socket.resume()
      const all = range(positionOf(first), positionOf(cursor))
      if (log === 'whole') {
        t.same(await readUpTo(json, cursor), { positions: all, types: [] }, 'who reads on has every change in order')
        t.same(await readUpTo(view, cursor), { positions: all, types: [] }, 'with a view too')
        const ages: number[] = []
        while (ages.length < all.length) ages.push((JSON.parse((await text.next()).replace(/^.*?\] /, '')) as Person).age)
        t.same(ages, range(together - 1, commits * together + together - 1), 'and as text')
      } else {
        const { positions, types } = await readToEnd(json)
        t.same(positions, all.slice(0, positions.length), 'who reads on has the changes in order')
        t.same(types, ['error'])
        t.equal((await json.closed()).code, 4410, 'until it is told that the log is gone')
        t.equal((await text.closed()).code, 4410, 'as text too')
        const got = await readUpTo(view, cursor)
        t.same(got.types.filter(type => type !== 'snapshot'), ['reset', 'synced'], 'who has a view starts again')
      }
    })
  }
}

async function readToEnd (inbox: Inbox): Promise<{ positions: number[], types: string[] }> {
  await inbox.closed()
  const messages = inbox.left().map(text => JSON.parse(text) as Message)
  return { positions: messages.flatMap(({ changes = [] }) => changes.map(({ position }) => position)), types: messages.map(({ type }) => type).filter(type => type !== 'changes') }
}

import t from 'tap'
import { Socket, Source, type Timer, World, id } from './world.ts'

const silence = 30_000

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

t.test('client.ts goes by the close code', async t => {
  for (const [code, refused] of [[1001, []], [1006, []], [1011, []], [4410, []], [4429, []], [4401, [401]], [4403, [403]]] as const) {
    const it = new World('client.ts', 'ws://localhost/updates', Socket)
    it.sync('e.1')
    it.peer.drop(code)
    await it.settled()
    t.same(it.refusals, refused, String(code))
    t.equal(it.timers.size, refused.length === 0 ? 1 : 0, String(code))
  }
})

import t from 'tap'
import { Random } from '../model/random.ts'
import { ModelLog } from '../model/log.ts'
import { type Opening, Session } from '../model/session.ts'
import { TextTranscript } from '../model/text.ts'
import { type Kinds, marker, where } from '../model/things.ts'
import { wireWorld } from '../model/wire.ts'
import { Writes } from '../model/writes.ts'
import { stores } from '../helper.ts'

const sockets = 200
const rounds = 40
const settings = {
  kept: 100_000, tailSize: 1_048_576, cacheSize: 8_388_608, ringSize: 1_048_576, slice: 5, rest: 25, backlog: 49_152, overloadWait: 1000, overload: 'write', heartbeat: 15_000, capacity: 0, maxPage: 1_048_576
} as const
const commands: Readonly<Record<Kinds, readonly string[]>> = { all: ['all', 'ALL\n', 'what?', ''], saves: ['saves', ' Saves '], deletes: ['deletes', '\tDELETES'] }

for (const [name, store] of Object.entries(stores)) {
  t.test(`${sockets} text sockets with changing filters get exactly what they asked for, over ${name}`, { timeout: 110_000 }, async t => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    t.comment(`SEED=${seed}`)
    const random = new Random(seed)
    const open = store(t)
    const world = await wireWorld({ ...settings, store: 'memory' }, () => open)
    t.teardown(() => world.close())
    const [service] = world.services
    if (!service) throw new Error('there is no service')
    const model = new ModelLog(service.epoch)
    const writes = new Writes(random, 0)

    const join = async (): Promise<Session> => {
      const condition = random.chance(0.5) ? { $or: [{ n: marker }, where(random, writes.ids)] } : null
      const opening: Opening = { reader: 'text', filter: { filter: random.pick(['all', 'saves', 'deletes']), where: condition, fields: null }, since: 'now', snapshot: false, byEventId: false }
      const session = new Session(service, opening)
      await session.open()
      return session
    }
    const command = async (session: Session): Promise<void> => {
      const kinds = random.pick<Kinds>(['all', 'saves', 'deletes'])
      await session.refilter({ ...session.filter, filter: kinds }, random.pick(commands[kinds]))
    }
    const stop = async (session: Session): Promise<void> => {
      await session.peer?.send('stop')
      await session.until(() => false)
      if (session.code !== 1000) throw new Error(`stop was answered with ${session.code}`)
    }

    const gone: Session[] = []
    let here = await Promise.all(Array.from({ length: sockets }, join))
    for (let round = 0; round < rounds; round++) {
      for (let count = random.below(12); count > 0; count--) writes.send(service, writes.any()).catch(() => {}) // `settled` says it too
      await Promise.all(here.map(async session => {
        const chance = random.next()
        if (chance < 0.2) await command(session)
        else if (chance < 0.22) await stop(session)
        else if (chance < 0.25) await session.leave(random.pick(['graceful', 'abrupt']))
      }))
      gone.push(...here.filter(session => !session.isOpen))
      const staying = here.filter(session => session.isOpen)
      here = [...staying, ...await Promise.all(Array.from({ length: sockets - staying.length }, join))]
    }
    await writes.settled()
    const marked = await writes.send(service, { kind: 'create', body: { n: marker, s: '', tags: [] } })
    const id = String(marked.saved[0]?.record.id)
    await writes.send(service, { kind: 'delete', id })
    await Promise.all(here.map(session => session.until(() => session.texts.at(-1)?.startsWith(`${session.filter.filter === 'saves' ? 'Saved' : 'Deleted'} thing [${id}]`) === true)))
    writes.commit(model, service.position)
    for (const session of [...here, ...gone]) new TextTranscript(session, model).check(0)
    const texts = [...here, ...gone].reduce((sum, { texts }) => sum + texts.length, 0)
    t.equal(here.length, sockets)
    t.ok(texts > sockets * 10, `${gone.length} left, ${model.head} changes, ${texts} texts, each where it belongs`)
    await Promise.all(here.map(session => session.leave('abrupt')))
  })
}

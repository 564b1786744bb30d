import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { spend, stores } from '../helper.ts'

const schema = Type.Object({ a: Type.Union([Type.Number(), Type.String()]) })
const resource = new Resource({ name: 'things', noun: 'thing', schema, maxRecord: 1000 })

/** A body that takes so many milliseconds to read. */
const slow = (milliseconds: number, a: unknown = 1): { a: number } => Object.defineProperty({ a: 0 }, 'a', {
  enumerable: true,
  get: () => {
    spend(milliseconds)
    return a
  }
})

for (const [name, store] of Object.entries(stores)) {
  const open = async (test: Test): Promise<Repository<typeof schema>> => {
    const things = new Repository(resource, await store(test)(resource), error => test.fail(String(error)))
    test.teardown(() => things.close())
    return things
  }

  t.test(`a batch that takes long to check lets other work go between its records, over ${name}`, async t => {
    const things = await open(t)
    let turns = 0
    let going = true
    const turn = (): void => {
      turns++
      if (going) setImmediate(turn)
    }
    setImmediate(turn)
    const saved = await things.createAll(Array.from({ length: 10 }, (_, a) => slow(2, a)))
    going = false
    t.ok(turns >= 5, `${turns} turns`)
    t.same(saved.map(({ record }) => record.a), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  t.test(`a batch that takes no time is written in the order of calls, over ${name}`, async t => {
    const things = await open(t)
    const told: unknown[] = []
    things.on('change', change => told.push(change.op === 'save' && change.record.a))
    const [batch, one] = await Promise.all([things.createAll([{ a: 1 }, { a: 2 }]), things.create({ a: 3 })])
    t.equal(batch.length, 2)
    t.ok(one.created)
    t.same(told, [1, 2, 3])
  })

  t.test(`all records of a batch are checked against the schema before any is found too large, over ${name}`, async t => {
    const things = await open(t)
    const large = { a: 'x'.repeat(1000) }
    await t.rejects(things.createAll([large, { a: null as never }]), { code: 'invalid-body', errors: [{ path: '/1/a' }, { path: '/1/a' }] })
    await t.rejects(things.createAll([{ a: 1 }, large, large, slow(6)]), { code: 'too-large', message: /record 1 of the batch/ })
    await t.rejects(things.createAll(null as never), { code: 'invalid-body' })
    t.same((await things.list({ where: null, sort: [], limit: 10, after: null })).items, [])
  })
}

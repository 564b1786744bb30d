import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Person } from '../../plugin/options.ts'
import { parseWhere } from '../../protocol/where.ts'
import { type Lane, ReadBudget } from '../../repository/read-budget.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import type { ListQuery } from '../../repository/store.ts'
import { ada, grace, stores } from '../helper.ts'

/** A budget that counts windows. */
class Counting extends ReadBudget {
  windows = 0

  override run<T> (lane: Lane, work: () => T): Promise<Awaited<T>> {
    return super.run(lane, () => {
      this.windows++
      return work()
    })
  }
}

const resource = new Resource({ name: 'people', noun: 'person', schema: Person })
const everything: ListQuery = { where: null, sort: [], limit: 100, after: null }
/** Nobody's, and much work to find that out. */
const costly = parseWhere({ $or: Array.from({ length: 100 }, (_, index) => ({ lastName: `x${index}` })) }, resource.properties)

for (const [name, store] of Object.entries(stores)) {
  const open = async (t: Test, budget: ReadBudget, count: number): Promise<Repository<typeof Person>> => {
    const people = new Repository(resource, await store(t)(resource, budget), error => t.error(error))
    t.teardown(() => people.close())
    for (let start = 0; start < count; start += 5000) await people.createAll(Array.from({ length: Math.min(count - start, 5000) }, (_, index) => ({ ...ada, age: start + index })))
    return people
  }

  t.test(`long lists over ${name}`, { timeout: 120_000 }, async t => {
    const budget = new Counting({ maxLists: 2, listWait: 60_000 })
    const people = await open(t, budget, 20_000)

    t.test('give way to other work between their windows', async t => {
      budget.windows = 0
      let turns = 0
      const looking = new Set([1])
      const listing = people.list({ ...everything, where: costly }).finally(() => looking.clear())
      for (; looking.size > 0; turns++) await turn()
      t.same((await listing).items, [])
      t.ok(budget.windows > 2 && turns >= budget.windows / 2, `${budget.windows} windows, ${turns} turns`)
    })

    t.test('stop at their next window when nobody waits for them any more', async t => {
      const controller = new AbortController()
      const listing = people.list({ ...everything, where: costly }, controller.signal)
      await turn()
      budget.windows = 0
      controller.abort(new Error('gone'))
      await t.rejects(listing, { message: 'gone' })
      await turn()
      t.ok(budget.windows <= 1)
      t.equal((await Promise.all([budget.enter(), budget.enter()])).map(leave => leave()).length, 2, 'what it held is free')
    })

    t.test('are of one position each, although records are written, replaced and deleted before them and behind them', async t => {
      const ids = (await people.list({ ...everything, limit: 1000 })).items.map(item => item.id)
      const sort = [{ path: ['age'], descending: true }]
      const expected = (await people.list({ ...everything, sort, limit: 1000 })).items.map(item => item.version)
      const looking = new Set([1])
      budget.windows = 0
      const listing = people.list({ ...everything, sort, limit: 1000 }).finally(() => looking.clear())
      while (budget.windows === 0) await turn()
      const writes: Promise<unknown>[] = [people.patch(ids[0] ?? '', { age: 1_000_000 })]
      for (let round = 1; looking.size > 0; round++) {
        writes.push(people.create({ ...grace, age: 2_000_000 }), people.delete(ids[round * 2] ?? '').catch(() => {}), people.patch(ids[round * 2 + 1] ?? '', { age: 3_000_000 }).catch(() => {}))
        await turn()
      }
      await Promise.all(writes)
      t.same((await listing).items.map(item => item.version), expected)
      t.not((await people.list({ ...everything, sort })).items[0]?.version, expected[0])
    })

    t.test('a page in order of id waits for none of them, and others no longer than they may', async t => {
      const leave = await Promise.all([budget.enter(), budget.enter()])
      const waiting = people.list({ ...everything, where: parseWhere({ age: 15_000 }, resource.properties) })
      t.equal((await people.list({ ...everything, limit: 1000 })).items.length, 1000)
      t.equal((await people.list({ ...everything, fields: ['age'] })).items.length, 100)
      leave.forEach(one => one())
      t.equal((await waiting).items.length, 1)
    })

    t.test('a list that closes with its store is refused, and the store closes', async t => {
      const short = await open(t, new Counting(), 10_000)
      const listing = short.list({ ...everything, where: costly })
      await Promise.all([t.rejects(listing, { code: 'unavailable' }), turn().then(() => short.close())])
    })
  })

  t.test(`pieces of a snapshot over ${name} are small, and each a few milliseconds' work`, async t => {
    const people = await open(t, new ReadBudget(), 3000)
    const big = { ...ada, job: 'x'.repeat(20_000) }
    await people.createAll(Array.from({ length: 30 }, () => big))
    await people.create({ ...ada, job: 'é'.repeat(100_000) })
    for (const where of [null, parseWhere({ firstName: ada.firstName }, resource.properties), costly]) {
      const snapshot = people.log.snapshot(where)
      let found = 0
      for (let piece = await snapshot.next(); piece !== null; piece = await snapshot.next()) {
        const sizes = piece.map(stored => Buffer.byteLength(stored.json))
        const most = 65_536 + (sizes.at(-1) ?? 0)
        if (sizes.reduce((sum, size) => sum + size, 0) > most) t.fail(`a piece of ${sizes.length} records`)
        found += piece.length
      }
      t.equal(found, where === costly ? 0 : 3031)
      snapshot.close()
    }
  })
}

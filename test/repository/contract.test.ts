import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Type } from '@sinclair/typebox'
import type { Change } from '../../protocol/change.ts'
import { parseWhere } from '../../protocol/where.ts'
import { Person } from '../../plugin/options.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import type { Retention } from '../../repository/retention.ts'
import { ada, grace, stores, until } from '../helper.ts'

type People = Repository<typeof Person>
type Told = Change<{ id: string } & typeof ada>

const absent = '01a204d7-4d29-7119-9c28-9c5307d11442'

for (const [name, store] of Object.entries(stores)) {
  const open = async (t: Test, retention?: Partial<Retention>): Promise<People> => {
    const resource = new Resource({ name: 'people', noun: 'person', schema: Person })
    const people = new Repository(resource, await store(t, retention)(resource), error => t.error(error))
    t.teardown(() => people.close())
    return people
  }

  t.test(`a repository in ${name}`, async t => {
    t.test('keeps what is saved and gives it back', async t => {
      const people = await open(t)
      const created = await people.save(ada)
      t.ok(created.created)
      t.same(created.record, { id: created.id, ...ada })
      const replaced = await people.save({ ...grace, id: created.id })
      t.notOk(replaced.created)
      t.same((await people.get(created.id))?.record, { id: created.id, ...grace })
      t.equal((await people.get(created.id))?.version, replaced.version)
      t.ok((await people.save({ ...ada, id: absent })).created, 'save creates under a given id too')
      await people.delete(absent)
      t.equal(await people.get(absent), null)
    })

    t.test('hands out copies: nobody can change what is kept', async t => {
      const people = await open(t)
      const body = { ...ada }
      const saved = await people.create(body)
      body.age = 1
      saved.record.age = 2
      people.once('change', (change: Told) => { if (change.op === 'save') change.record.age = 3 })
      await people.create(grace)
      const again = await people.get(saved.id)
      t.equal(again?.record.age, 36)
    })

    t.test('refuses with an error that says why', async t => {
      const people = await open(t)
      const { id } = await people.create(ada)
      await t.rejects(people.create({ ...ada, age: '36' } as never), { code: 'invalid-body', errors: [{ path: '/age', message: 'must be integer' }] })
      await t.rejects(people.create(null as never), { code: 'invalid-body' })
      await t.rejects(people.save(null as never), { code: 'invalid-body' })
      await t.rejects(people.replace(absent, ada), { code: 'not-found' })
      await t.rejects(people.patch(absent, {}), { code: 'not-found' })
      await t.rejects(people.delete(absent), { code: 'not-found' })
      await t.rejects(people.replace(id, ada, { ifMatch: ['stale'] }), { code: 'precondition-failed' })
      await t.rejects(people.replace(id, ada, { ifNoneMatch: '*' }), { code: 'precondition-failed' })
      await t.rejects(people.save({ ...ada, id: 'nobody' }), { code: 'invalid-body' })
      t.same((await people.get(id))?.record, { id, ...ada })
    })

    t.test('emits each committed change with the record before and after, in order, and nothing else', async t => {
      const people = await open(t)
      const told: Told[] = []
      people.on('change', change => told.push(change))
      const one = await people.create(ada)
      await people.create({ ...ada, age: -1 }).catch(() => {})
      const two = await people.replace(one.id, grace)
      await people.patch(one.id, {})
      await people.patch(one.id, { age: 80 })
      await people.createAll([ada, { ...grace, job: '' }]).catch(() => {})
      await people.delete(one.id)
      t.same(told.map(({ op, id, before }) => [op, id, before && before.age]), [
        ['save', one.id, null], ['save', one.id, 36], ['save', one.id, 79], ['delete', one.id, 80]
      ])
      t.same(told.map(change => change.op === 'save' && change.record), [one.record, two.record, { ...two.record, age: 80 }, false])
      t.same(told.map(change => change.position), [1, 2, 3, 4])
      t.equal(told[0]?.op === 'save' && told[0].version, one.version)
      t.ok(told.every(change => Math.abs(Date.parse(change.at) - Date.now()) < 5000))
    })

    t.test('tells the change before the write is answered', async t => {
      const people = await open(t)
      const order: string[] = []
      people.on('change', () => order.push('change'))
      await people.create(ada).then(() => order.push('answer'))
      t.same(order, ['change', 'answer'])
    })

    t.test('a listener that throws keeps the news from nobody', async t => {
      const resource = new Resource({ name: 'people', noun: 'person', schema: Person })
      const errors: unknown[] = []
      const people = new Repository(resource, await store(t)(resource), error => errors.push(error))
      t.teardown(() => people.close())
      let told = 0
      people.on('change', () => { throw new Error('mine') })
      people.on('change', () => told++)
      await people.create(ada)
      await people.create(ada)
      t.equal(told, 2)
      t.match(errors, [{ message: 'mine' }, { message: 'mine' }])
    })

    t.test('writes of one turn are told in the order in which they were made', async t => {
      const people = await open(t)
      const { id } = await people.create(ada)
      const ages: number[] = []
      people.on('change', change => { if (change.op === 'save') ages.push(change.record.age) })
      const answers = await Promise.all(Array.from({ length: 300 }, (_, age) => people.patch(id, { age: age + 100 })))
      t.same(ages, Array.from({ length: 300 }, (_, age) => age + 100))
      t.same(answers.map(answer => answer.record.age), ages)
      t.equal(new Set(answers.map(answer => answer.version)).size, 300)
    })

    t.test('one bad write among others fails alone', async t => {
      const people = await open(t)
      const { id, version } = await people.create(ada)
      const answers = await Promise.allSettled([
        people.create(grace),
        people.replace(id, grace, { ifMatch: ['stale'] }),
        people.patch(id, { age: 37 }, { ifMatch: [version] }),
        people.delete(absent),
        people.patch(id, { age: 38 }, { ifMatch: [version] }), // it has moved on by then
        people.createAll([ada, grace])
      ])
      t.same(answers.map(answer => answer.status), ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'rejected', 'fulfilled'])
      t.equal((await people.list({ where: null, sort: [], limit: 10, after: null })).items.length, 4)
      t.same((await people.log.changes(0, 100)).entries.map(entry => entry.position), [1, 2, 3, 4, 5])
    })

    t.test('reads the log', async t => {
      const people = await open(t)
      const saved = await people.createAll(Array.from({ length: 30 }, (_, age) => ({ ...ada, age })))
      const { epoch, floor, head, entries } = await people.log.changes(10, 5)
      t.match({ floor, head }, { floor: 0, head: 30 })
      t.equal(`${epoch}.30`, saved.at(-1)?.cursor)
      t.same(entries.map(entry => [entry.position, entry.id]), saved.slice(10, 15).map((one, index) => [11 + index, one.id]))
      t.same((await people.log.changes(30, 5)).entries, [])
    })

    t.test('keeps of the log what count or age still hold', async t => {
      const people = await open(t, { count: 10, age: 0 })
      for (let age = 0; age < 50; age++) await people.create({ ...ada, age })
      await until(async () => (await people.log.changes(0, 100)).floor === 40)
      t.same((await people.log.changes(0, 100)).entries.map(entry => entry.position), Array.from({ length: 10 }, (_, index) => 41 + index))
      t.equal((await people.list({ where: null, sort: [], limit: 1000, after: null })).items.length, 50, 'records stay')
      await people.close() // another file takes the place of its own
      const young = await open(t, { count: 1, age: 60_000 })
      for (let age = 0; age < 50; age++) await young.create({ ...ada, age })
      await new Promise(resolve => setTimeout(resolve, 50))
      t.equal((await young.log.changes(0, 100)).floor, 0)
    })

    t.test('a snapshot has the records of one position, whatever is written while it is read', { timeout: 60_000 }, async t => {
      const people = await open(t)
      const saved = await people.createAll(Array.from({ length: 9000 }, (_, age) => ({ ...ada, age })))
      await people.createAll(Array.from({ length: 1000 }, (_, age) => ({ ...grace, age })))
      for (const where of [null, { job: 'mathematician' }, { age: { $lt: 300 } }]) {
        const parsed = parseWhere(where, people.resource.properties)
        const expected = new Map<string, string>()
        for (let after = null; ;) {
          const page = await people.list({ where: parsed, sort: [], limit: 1000, after })
          for (const { id, json, version } of page.items) expected.set(id, `${version} ${json}`)
          if (!page.more) break
          after = { keys: [], id: page.items.at(-1)?.id ?? '' }
        }
        const snapshot = people.log.snapshot(parsed)
        t.equal(`${people.log.epoch}.${snapshot.position}`, (await people.list({ where: null, sort: [], limit: 1, after: null })).cursor)
        const found = new Map<string, string>()
        let round = 0
        for (let piece = await snapshot.next(); piece !== null; piece = await snapshot.next()) {
          for (const { id, json, version } of piece) {
            t.notOk(found.has(id))
            found.set(id, `${version} ${json}`)
          }
          const victims = saved.splice(-40)
          round++
          await Promise.all([
            ...victims.slice(0, 10).map(one => people.delete(one.id)),
            ...victims.slice(10, 20).map(one => people.patch(one.id, { age: 1_000_000 + round })),
            ...victims.slice(20, 30).map(one => people.patch(one.id, { age: 1_000_000 + round, job: 'else' }).then(() => people.delete(one.id))),
            ...victims.slice(30).map(one => people.delete(one.id).then(() => people.replace(one.id, { ...grace, age: 5 }, { ifNoneMatch: '*' }))),
            people.createAll([ada, grace])
          ])
          await turn()
        }
        snapshot.close()
        t.same([...found].sort(), [...expected].sort(), JSON.stringify(where))
      }
    })

    t.test('a list is of one position too', async t => {
      const people = await open(t)
      await people.createAll(Array.from({ length: 9000 }, (_, age) => ({ ...ada, age })))
      for (const sort of [[], [{ path: ['age'], descending: true }]]) {
        const where = parseWhere({ job: 'none yet' }, people.resource.properties)
        const listing = people.list({ where, sort, limit: 10, after: null })
        const one = await people.create({ ...ada, job: 'none yet' })
        const { items, cursor } = await listing
        t.equal(items.length, cursor === one.cursor ? 1 : 0, 'what had been written by then, though the list was being read')
        await people.delete(one.id)
      }
    })

    t.test('is safe to close twice, and while writes are under way', async t => {
      const people = await open(t)
      const writes = Array.from({ length: 100 }, () => people.create(ada))
      const closing = [people.close(), people.close()]
      const answers = await Promise.allSettled([...writes, ...closing])
      t.ok(answers.every(answer => answer.status === 'fulfilled'))
      await t.rejects(people.create(ada), { code: 'unavailable' })
      await t.rejects(people.get(absent), { code: 'unavailable' })
      await t.rejects(people.list({ where: null, sort: [], limit: 1, after: null }), { code: 'unavailable' })
      await t.rejects(people.log.changes(0, 1), { code: 'unavailable' })
      await t.rejects(people.log.refresh().then(() => null), { code: 'unavailable' })
    })

    t.test('several resources stand side by side', async t => {
      const note = new Resource({ name: 'notes', noun: 'note', schema: Type.Object({ text: Type.String() }) })
      const opener = store(t)
      const notes = new Repository(note, await opener(note), error => t.error(error))
      const resource = new Resource({ name: 'people', noun: 'person', schema: Person })
      const people = new Repository(resource, await opener(resource), error => t.error(error))
      t.teardown(() => Promise.all([notes.close(), people.close()]))
      await Promise.all([notes.create({ text: 'x' }), people.create(ada), notes.create({ text: 'y' })])
      t.equal((await notes.log.changes(0, 10)).head, 2)
      t.equal((await people.log.changes(0, 10)).head, 1)
      t.not(notes.log.epoch, people.log.epoch)
    })
  })
}

import t from 'tap'
import { type Answer, ada, build, connect, listen, request, stores } from '../helper.ts'

const subscribers = 150
/** So little that every write must wait for the one before to reach all. */
const tight = { backlog: 1, slice: 1 }

for (const [name, open] of Object.entries(stores)) {
  t.test(`more writes than can be streamed, over ${name}`, async t => {
    await t.test('writes wait for the subscribers, and keep their order', async t => {
      const app = await build(t, { ...tight, repository: open(t) })
      const url = `${await listen(app)}/updates`
      const inboxes = await Promise.all(Array.from({ length: subscribers }, () => connect(t, url)))
      const ages: number[] = []
      app.changeStreams.people.on('change', change => ages.push(change.op === 'save' ? change.record.age : -1))
      const expected = Array.from({ length: 200 }, (_, age) => age)
      for (let age = 0; age < 200; age += 20) {
        await Promise.race(expected.slice(age, age + 20).map(async age => await app.changeStreams.people.create({ ...ada, age })))
      }
      for (const inbox of inboxes) {
        const told: number[] = []
        while (told.length < expected.length) told.push(Number(/"age":(\d+)/.exec(await inbox.next())?.[1]))
        t.same(told, expected)
      }
      t.same(ages, expected)
    })

    await t.test('with overload: refuse, a write that would wait too long gets 503 with Retry-After, and is not done', async t => {
      const app = await build(t, { ...tight, repository: open(t), overload: 'refuse', overloadWait: 1 })
      const origin = await listen(app)
      const inbox = await connect(t, `${origin}/updates`)
      await Promise.all(Array.from({ length: subscribers }, () => connect(t, `${origin}/updates`)))
      const done = new Set<string>()
      const refusals = new Set<string>()
      for (let round = 0; round < 20 || refusals.size === 0; round++) {
        await Promise.all(Array.from({ length: 10 }, async () => {
          const answer = await request<{ id: string }>(`${origin}/people`, 'POST', ada)
          if (answer.status === 201) return done.add(answer.body.id)
          refusals.add(`${answer.status} ${answer.headers.get('retry-after')} ${(answer.body as { type?: string }).type}`)
        }))
      }
      t.same([...refusals], ['503 1 urn:problem:change-stream:overloaded'])
      const told = new Set<string>()
      while (told.size < done.size) told.add(/\[(.*?)\]/.exec(await inbox.next())?.[1] ?? '')
      t.same(told, done)
      t.same(await inbox.rest(), [])
      const records: Array<{ id: string }> = []
      let more: string | undefined = '/people?limit=1000'
      while (more !== undefined) { // how many were done depends on the machine
        const page: Answer<Array<{ id: string }>> = await request<Array<{ id: string }>>(`${origin}${more}`)
        records.push(...page.body)
        more = /^<([^>]*)>; rel="next"/.exec(page.headers.get('link') ?? '')?.[1]
      }
      t.same(new Set(records.map(({ id }) => id)), done)
      t.equal((await request(`${origin}/people`)).status, 200, 'reads go on')
    })

    await t.test('with overloadWait: 0 no write ever waits', async t => {
      const app = await build(t, { ...tight, repository: open(t), overload: 'refuse', overloadWait: 0 })
      const url = `${await listen(app)}/updates`
      await Promise.all(Array.from({ length: subscribers }, () => connect(t, url)))
      for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 10 }, async () => await app.changeStreams.people.create(ada)))
      t.pass('none was refused')
    })

    await t.test('writes that wait when the app closes are done or refused, and none hangs', async t => {
      const app = await build(t, { ...tight, repository: open(t) })
      const url = `${await listen(app)}/updates`
      await Promise.all(Array.from({ length: subscribers }, () => connect(t, url)))
      const writes = Array.from({ length: 200 }, async () => await app.changeStreams.people.create(ada).then(() => 'done', error => error.code))
      await writes[0]
      const [results] = await Promise.all([Promise.all(writes), app.close()])
      t.same([...new Set(results)].filter(result => result !== 'done' && result !== 'unavailable'), [])
    })
  })
}

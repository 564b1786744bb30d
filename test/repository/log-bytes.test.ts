import t from 'tap'
import { ada, build, listen, request, stores } from '../helper.ts'

for (const [name, open] of Object.entries(stores)) {
  t.test(`the log's bytes are capped before its count and age, over ${name}`, async t => {
    const bytes = 100_000
    const app = await build(t, { repository: open(t, { count: 1_000_000, age: 3_600_000, bytes }) })
    const origin = await listen(app)
    const { people } = app.changeStreams
    const { id, cursor: first } = await people.create({ ...ada, job: 'x'.repeat(1000) })
    const size = (entry: { json: string | null, beforeJson: string | null }): number => (entry.json?.length ?? 0) + (entry.beforeJson?.length ?? 0)
    for (let age = 0; age < 400; age++) await people.patch(id, { age })
    const kept = async (): Promise<{ floor: number, sum: number, count: number }> => {
      const { floor, entries } = await people.log.changes((await people.log.changes(0, 0)).floor, 1_000_000)
      return { floor, sum: entries.reduce((sum, entry) => sum + size(entry), 0), count: entries.length }
    }
    const deadline = Date.now() + 10_000
    while ((await kept()).sum > bytes && Date.now() < deadline) await new Promise(resolve => setTimeout(resolve, 10))
    const { floor, sum, count } = await kept()
    t.ok(sum <= bytes, `${sum} bytes are kept`)
    t.ok(count >= 5, `${count} changes are kept`)
    t.equal(floor + count, people.log.position)
    t.equal((await request(`${origin}/updates?since=${first}`)).status, 410)
    const { length } = (await request<{ changes: unknown[] }>(`${origin}/updates?since=start`)).body.changes
    t.ok(length > 0 && length <= count, `${length} of ${count} are told`)
    t.match((await people.get(id))?.record, { age: 399 })
  })
}

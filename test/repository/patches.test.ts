import t from 'tap'
import { ada, build, stores } from '../helper.ts'

for (const [name, open] of Object.entries(stores)) {
  t.test(`what is wrong with a patch whatever it patches is said before anything is patched, over ${name}`, async t => {
    const app = await build(t, { repository: open(t) })
    const { people } = app.changeStreams
    const { id } = await people.create(ada)
    const unknown = Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`z${index}`, 1]))
    const error = await people.patch(id, { ...unknown, age: 1 }).then(() => null, (error: unknown) => error as { code: string, errors: Array<{ path: string, message: string }> })
    t.equal(error?.code, 'invalid-body')
    t.same(error?.errors.slice(0, 2), [{ path: '/z0', message: 'is not a known property' }, { path: '/z1', message: 'is not a known property' }])
    t.equal(error?.errors.length, 20)
    for (const patch of [[], [{}], null, 5, 'text']) await t.rejects(people.patch(id, patch), { code: 'invalid-body', errors: [{ path: '', message: 'must be object' }] })
    const same = await people.patch(id, { nothing: null, age: 36 })
    t.same(same.record, { id, ...ada }, 'what is taken away need not be there')
    t.equal((await people.patch(id, { age: 37 })).record.age, 37)
  })
}

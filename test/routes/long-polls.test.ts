import { once } from 'node:events'
import { type IncomingMessage, get } from 'node:http'
import t from 'tap'
import { ada, build, listen, request, until } from '../helper.ts'

t.test('any number of polls may wait, and there is no warning', async t => {
  const warnings: Error[] = []
  const hear = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', hear)
  t.teardown(() => process.off('warning', hear))
  const app = await build(t)
  const origin = await listen(app)
  let asked = 0
  app.server.on('request', () => asked++)
  /** Resolves when the server has that many more requests, and those that wait do. */
  const under = async (count: number, begin: () => unknown): Promise<void> => {
    const before = asked
    begin()
    await until(() => asked >= before + count)
    for (let turn = 0; turn < 3; turn++) await request(`${origin}/updates`)
  }
  let { cursor } = (await request<{ cursor: string }>(`${origin}/updates`)).body
  for (let round = 0; round < 3; round++) {
    let polls: Array<Promise<{ changes: unknown[], cursor: string }>> = []
    await under(100, () => {
      polls = Array.from({ length: 100 }, async () => (await request<{ changes: unknown[], cursor: string }>(`${origin}/updates?since=${cursor}&wait=30`)).body)
    })
    await app.changeStreams.people.create(ada)
    const pages = await Promise.all(polls)
    t.ok(pages.every(({ changes }) => changes.length === 1))
    cursor = pages[0]?.cursor ?? ''
  }
  const left: Array<ReturnType<typeof get>> = []
  await under(20, () => left.push(...Array.from({ length: 20 }, () => get(`${origin}/updates?wait=30`).on('error', () => {}))))
  for (const poll of left) poll.destroy()
  let waiting: ReturnType<typeof get> | undefined
  await under(1, () => { waiting = get(`${origin}/updates?wait=30`) })
  const answered = once(waiting ?? t, 'response') as Promise<[IncomingMessage]>
  await app.close()
  t.equal((await answered)[0].statusCode, 200, 'closing answers')
  t.same(warnings, [])
})

import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { type Lane, ReadBudget } from '../../repository/read-budget.ts'
import { spend } from '../helper.ts'

const longer = 6 // milliseconds, more than a slice

t.test('work is done at once while there is time for it, and else when other work has gone first', async t => {
  const budget = new ReadBudget()
  const order: string[] = []
  await budget.run('list', () => spend(longer))
  const other = turn().then(() => order.push('other work'))
  const work = budget.run('list', () => order.push('a second slice'))
  t.same(order, [])
  await Promise.all([work, other])
  t.same(order, ['other work', 'a second slice'])
  const atOnce = new ReadBudget().run('page', () => order.push('at once'))
  t.equal(order.at(-1), 'at once')
  await atOnce
})

t.test('no two slices come in one turn of the event loop', async t => {
  const budget = new ReadBudget()
  let turns = 0
  let counting = true
  const count = (): void => {
    turns++
    if (counting) setImmediate(count)
  }
  setImmediate(count)
  const seen: number[] = []
  await Promise.all(Array.from({ length: 10 }, () => budget.run('list', () => {
    seen.push(turns)
    spend(longer)
  })))
  counting = false
  t.equal(new Set(seen).size, seen.length)
})

t.test('the lanes are served in turn, each in its order, so that none starves another', async t => {
  const budget = new ReadBudget()
  await budget.run('list', () => spend(longer))
  const order: string[] = []
  const jobs: Promise<unknown>[] = []
  const add = (lane: Lane, count: number): void => {
    for (let index = 0; index < count; index++) jobs.push(budget.run(lane, () => order.push(`${lane} ${index}`)))
  }
  add('stream', 1000)
  add('list', 3)
  add('page', 1)
  await Promise.all(jobs)
  t.same(order.filter(name => name.startsWith('stream')), Array.from({ length: 1000 }, (_, index) => `stream ${index}`))
  t.same(order.filter(name => name.startsWith('list')), ['list 0', 'list 1', 'list 2'])
  t.ok(order.indexOf('page 0') < 3)
  t.ok(order.indexOf('list 2') < 7)
})

t.test('work that throws is refused alone, whether it is done at once or waits, and the others go on', async t => {
  const budget = new ReadBudget()
  const fail = (): never => { throw new Error('mine') }
  await t.rejects(budget.run('list', fail), { message: 'mine' })
  await budget.run('list', () => spend(longer))
  const answers = await Promise.allSettled([
    budget.run('list', () => 1), budget.run('list', fail), budget.run('stream', async () => fail()), budget.run('stream', async () => 2), budget.run('list', () => 3)
  ])
  t.same(answers.map(answer => answer.status === 'fulfilled' ? answer.value : (answer.reason as Error).message), [1, 'mine', 'mine', 2, 3])
})

t.test('so many lists are at work at once, and the others come in their order', async t => {
  const budget = new ReadBudget({ maxLists: 2, listWait: 60_000 })
  const leave = [await budget.enter(), await budget.enter()]
  t.equal(budget.tryEnter(), null)
  const order: number[] = []
  const waiting = [1, 2, 3].map(async name => {
    const leave = await budget.enter()
    order.push(name)
    return leave
  })
  await turn()
  t.same(order, [])
  leave[0]?.()
  leave[0]?.() // twice is once
  t.equal(budget.tryEnter(), null, 'nobody goes before those who wait')
  const first = await waiting[0]
  t.same(order, [1])
  first?.()
  leave[1]?.()
  for (const one of await Promise.all(waiting)) one()
  t.same(order, [1, 2, 3])
  t.ok(budget.tryEnter())
})

t.test('who has waited too long is refused, who has gone away is forgotten, and neither is in the way of others', async t => {
  const budget = new ReadBudget({ maxLists: 1, listWait: 20 })
  const leave = await budget.enter()
  await t.rejects(budget.enter(), { code: 'overloaded', statusCode: 503, retryAfter: 1000 })
  const patient = new ReadBudget({ maxLists: 1, listWait: 60_000 }, budget)
  const controller = new AbortController()
  const gone = patient.enter(controller.signal)
  const next = patient.enter()
  controller.abort(new Error('gone'))
  await t.rejects(gone, { message: 'gone' })
  await t.rejects(patient.enter(controller.signal), { message: 'gone' })
  leave()
  const last = await next
  const generous = new ReadBudget({ maxLists: 2, listWait: 60_000 }, budget)
  t.ok(generous.tryEnter(), 'each resource has its own number')
  last()
})

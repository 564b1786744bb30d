import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { type Lane, ReadBudget } from '../../repository/read-budget.ts'
import { ReadSchedule } from '../../repository/read-schedule.ts'
import { spend } from '../helper.ts'

const longer = 6 // milliseconds, more than a slice
const restOf = 10

/** A clock that goes on when it is told to, and other work, which takes a millisecond of each turn of the event loop while it is on. */
class Clock {
  time = 1000
  readonly schedule = new ReadSchedule(() => this.time)

  spend (milliseconds: number): void {
    this.time += milliseconds
  }

  async busy (work: () => Promise<unknown>): Promise<void> {
    const working = new Set([1])
    const end = work().finally(() => working.clear())
    for (; working.size > 0; this.time++) await turn()
    await end
  }
}

t.test('work is done at once while there is time for it, and waits then until other work has had twice as long', async t => {
  const clock = new Clock()
  const { schedule } = clock
  const times: number[] = []
  const work = (milliseconds: number) => async (): Promise<void> => await schedule.run('list', () => {
    times.push(clock.time)
    clock.spend(milliseconds)
  })
  const first = [1, 2, 3].map(milliseconds => work(milliseconds)())
  t.same(times, [1000, 1001, 1003], 'at once')
  await Promise.all(first)
  await clock.busy(work(longer))
  t.same(times.splice(0), [1000, 1001, 1003, 1006 + restOf])
  clock.spend(restOf)
  const before = clock.time
  await clock.busy(work(longer))
  t.same(times, [before], 'it has had that already')
})

t.test('where there is no other work it does not wait for it', async t => {
  const clock = new Clock()
  await clock.schedule.run('list', () => clock.spend(longer))
  await clock.schedule.run('list', () => clock.spend(longer))
  t.equal(clock.time, 1000 + 2 * longer)
})

t.test('a little work now and then never waits', async t => {
  const clock = new Clock()
  for (let round = 0; round < 100; round++) {
    let state = 'waits'
    const work = clock.schedule.run('page', () => {
      clock.spend(1)
      state = 'done'
    })
    t.equal(state, 'done')
    await work
    clock.spend(2)
  }
})

t.test('no two slices come in one turn of the event loop', async t => {
  const clock = new Clock()
  let turns = 0
  const seen: number[] = []
  const count = (): void => {
    turns++
    if (seen.length < 10) setImmediate(count)
  }
  setImmediate(count)
  await Promise.all(Array.from({ length: 10 }, () => clock.schedule.run('list', () => {
    seen.push(turns)
    clock.spend(longer)
  })))
  t.equal(new Set(seen).size, 10)
})

t.test('the lanes are served in turn, each in its order, so that none starves another', async t => {
  const clock = new Clock()
  await clock.schedule.run('list', () => clock.spend(longer))
  const order: string[] = []
  const jobs: Promise<unknown>[] = []
  const add = (lane: Lane, count: number): void => {
    for (let index = 0; index < count; index++) {
      jobs.push(clock.schedule.run(lane, () => {
        clock.spend(0.5)
        return order.push(`${lane} ${index}`)
      }))
    }
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

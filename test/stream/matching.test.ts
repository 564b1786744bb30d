import fc from 'fast-check'
import t from 'tap'
import { LogEntry } from '../../protocol/change.ts'
import { everything, refine } from '../../protocol/filter.ts'
import { memory } from '../../repository/memory.ts'
import { ClassIndex } from '../../stream/class-index.ts'
import { EncodedChange } from '../../stream/encoded.ts'
import { FilterClass } from '../../stream/filter-class.ts'
import { Matching } from '../../stream/matching.ts'
import { jsonReader } from '../../stream/reader.ts'
import { Subscription } from '../../stream/subscription.ts'
import { ada, until } from '../helper.ts'
import { Sink, openHub } from './sinks.ts'

const log = { cursor: (position: number) => `e.${position}` }

function change (position: number, size = 0): EncodedChange {
  return new EncodedChange(new LogEntry({ position, id: 'a', time: 0, version: 'v', json: JSON.stringify({ id: 'a', text: 'x'.repeat(size) }), beforeJson: null }), log)
}

t.test('every class is offered every change once and in order, however the work is sliced and whatever is brought again', t => {
  fc.assert(fc.property(
    fc.array(fc.constantFrom('push', 'run', 'bring'), { minLength: 1, maxLength: 60 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 3000 }),
    (actions, classes, limit) => {
      const index = new ClassIndex()
      const offered = new Map<FilterClass, number[]>()
      for (let number = 0; number < classes; number++) {
        const filterClass = new FilterClass(String(number), everything, jsonReader(), { log, position: 0, ringSize: 1 })
        index.add(filterClass)
        offered.set(filterClass, [])
      }
      const matching = new Matching(0, index, limit, (filterClass, { position }) => offered.get(filterClass)?.push(position))
      let head = 0
      const bring = (): void => {
        const from = matching.missing(head)
        if (from !== null) matching.push(from, Array.from({ length: Math.min(3, head - from) }, (_, place) => change(from + place + 1)))
      }
      for (const action of actions) {
        if (action === 'push') matching.push(head, [change(++head, 40_000), change(++head)])
        else if (action === 'run') matching.run(-Infinity) // no time at all: as little as can be
        else bring()
      }
      while (matching.position < head) {
        matching.run(-Infinity)
        bring()
      }
      const all = Array.from({ length: head }, (_, place) => place + 1)
      for (const positions of offered.values()) if (positions.join() !== all.join()) throw new Error(`${positions.join()} of ${head}`)
    }
  ), { numRuns: 500 })
  t.end()
})

t.test('a batch for many costly filters leaves the event loop to others, and everybody is told everything', async t => {
  const { people, hub } = await openHub({}, memory({ retention: { count: 100_000 } }))
  t.teardown(() => hub.close(0))
  const { properties } = people.resource
  const sinks = Array.from({ length: 60 }, () => new Sink())
  for (const [number, sink] of sinks.entries()) {
    const never = Array.from({ length: 49 }, (_, index) => ({ age: { $gte: number * 50 + index, $lte: number * 50 + index } }))
    const filter = refine(everything, { where: { $or: [...never, { age: { $gte: 1e6 } }] } }, properties)
    new Subscription(hub, sink, { reader: jsonReader(), filter, view: false }).startAt(hub.position)
  }
  await until(() => sinks.every(({ messages }) => messages.some(({ type }) => type === 'synced')))
  let turns = 0
  let done = false
  t.teardown(() => { done = true })
  const watch = (): void => {
    turns++
    if (!done) setImmediate(watch)
  }
  watch()
  await people.createAll(Array.from({ length: 200 }, (_, index) => ({ ...ada, age: 1e6 + index })))
  const late = new Sink()
  const since = hub.position
  new Subscription(hub, late, { reader: jsonReader(), filter: everything, view: false }).startAt(since)
  await people.create({ ...ada, age: 2e6 })
  await until(() => sinks.every(({ positions }) => positions.length === 201) && late.positions.length === 1)
  done = true
  const expected = Array.from({ length: 201 }, (_, index) => index + 1)
  for (const sink of sinks) if (sink.positions.join() !== expected.join()) t.fail('one was told something else')
  t.same(late.positions, [since + 1], 'who comes meanwhile is told what comes after, once')
  t.ok(turns > 3, `the work was done in ${turns} turns of the event loop`)
})

import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { stores, until } from '../helper.ts'

const schema = Type.Object({ a: Type.Number() })
const resource = new Resource({ name: 'things', noun: 'thing', schema })
const fault = new Error('a fault of the listener\'s')
const fail = (): never => { throw fault }

/** What a listener may do or return that is no fault of the others. */
const listeners: Readonly<Record<string, () => unknown>> = {
  throws: fail,
  rejects: () => Promise.reject(fault),
  'rejects later': async () => { await null; fail() },
  'returns a thenable whose then throws': () => ({ then: fail }),
  'returns a thenable whose then is a getter that throws': () => Object.defineProperty({}, 'then', { get: fail }),
  'returns a thenable that rejects': () => ({ then: (_: unknown, reject: (error: Error) => void) => reject(fault) }),
  'returns a function that is a thenable': () => Object.assign(() => {}, { then: fail }),
  'returns a thenable that resolves to one': () => ({ then: (resolve: (value: unknown) => void) => resolve({ then: fail }) }),
  'returns a promise that has a catch of its own': () => Object.assign(Promise.reject(fault), { catch: fail })
}

for (const [name, store] of Object.entries(stores)) {
  const open = async (t: Test): Promise<{ things: Repository<typeof schema>, errors: unknown[] }> => {
    const errors: unknown[] = []
    const things = new Repository(resource, await store(t)(resource), error => errors.push(error))
    t.teardown(() => things.close())
    return { things, errors }
  }

  for (const [what, listener] of Object.entries(listeners)) {
    t.test(`a listener that ${what} is told of, and the others hear all the same, over ${name}`, async t => {
      const { things, errors } = await open(t)
      const heard: unknown[] = []
      things.on('change', ({ position }) => heard.push(['first', position]))
      things.on('change', listener)
      things.once('change', listener)
      things.on('change', ({ position }) => heard.push(['last', position]))
      await things.create({ a: 1 })
      await things.create({ a: 2 })
      t.same(heard, [['first', 1], ['last', 1], ['first', 2], ['last', 2]])
      await until(() => errors.length >= 3)
      t.same(errors, [fault, fault, fault])
    })
  }

  t.test(`listeners that come and go while they are told change nothing for the others, over ${name}`, async t => {
    const { things, errors } = await open(t)
    const heard: string[] = []
    const late = (): void => { heard.push('late') }
    const gone = (): void => { heard.push('gone') }
    things.once('change', () => {
      heard.push('first')
      things.on('change', late).off('change', gone)
    })
    things.on('change', gone)
    things.on('change', () => { heard.push('last') })
    await things.create({ a: 1 })
    t.same(heard.splice(0), ['first', 'gone', 'last'], 'who is there when the telling begins is told, as by any EventEmitter')
    await things.create({ a: 2 })
    t.same(heard, ['last', 'late'])
    t.same(errors, [])
  })

  t.test(`what listens for listeners hears of them, and its throwing is told of, over ${name}`, async t => {
    const { things, errors } = await open(t)
    const seen: unknown[] = []
    const events = things as unknown as NodeJS.EventEmitter
    events.on('newListener', event => seen.push(`new ${String(event)}`))
    events.on('removeListener', event => {
      seen.push(`removed ${String(event)}`)
      fail()
    })
    const heard: number[] = []
    things.once('change', () => {})
    things.on('change', ({ position }) => heard.push(position))
    await things.create({ a: 1 })
    await things.create({ a: 2 })
    t.same(heard, [1, 2])
    t.same(seen, ['new removeListener', 'new change', 'new change', 'removed change'])
    t.same(errors, [fault])
  })
}

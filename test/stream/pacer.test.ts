import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { Gate } from '../../stream/gate.ts'
import { Pacer } from '../../stream/pacer.ts'
import { spend, until } from '../helper.ts'

t.test('writes that come between two slices share a commit, which comes before the next slice', async t => {
  const gate = new Gate({ overloadWait: 60_000, overload: 'refuse' })
  const events: string[] = []
  let group: string[] = []
  /** Those that a slice has got ahead of. */
  const late: string[] = []
  const writes: Array<Promise<void>> = []
  let slices = 0
  /** As a store does: what comes in one turn of the event loop is committed together. */
  async function write (name: string): Promise<void> {
    await gate.pass()
    pacer.wake() // as somebody does who has something else to be done
    if (group.push(name) > 1) return
    const before = slices
    await turn()
    if (slices > before) late.push(name)
    events.push(group.join())
    group = []
    pacer.wake('committed')
  }
  async function writeInTurns (gap: number): Promise<void> {
    for (const name of ['a', 'b', 'c']) {
      await turn()
      writes.push(write(`${gap}${name}`))
      spend(0.2) // so that the turn is not taken for an idle one
    }
  }
  const pacer = new Pacer(5, 50, () => {
    events.push('slice')
    spend(2)
    const more = ++slices < 50
    if (more) gate.pause()
    else gate.resume()
    if (slices < 4) writes.push(writeInTurns(slices))
    return more
  }, gate)
  pacer.wake()
  await until(() => slices >= 50)
  await Promise.all(writes)
  const gaps = events.join(' ').split('slice').map(gap => gap.trim()).filter(gap => gap !== '')
  t.same(gaps.join(',').split(','), ['1a', '1b', '1c', '2a', '2b', '2c', '3a', '3b', '3c'])
  t.same(gaps.filter(gap => gap.includes(' ')), [], 'no two commits between two slices')
  t.same(late, [])
  pacer.close()
})

t.test('a write that waits for the next slice is never refused for that', async t => {
  const gate = new Gate({ overloadWait: 1, overload: 'refuse' })
  gate.pause()
  const passed = gate.pass()
  t.ok(passed, 'it waits')
  await passed
  t.equal(gate.holds, false, 'nobody waits any more')
  gate.resume()
  t.equal(gate.pass(), null)
})

t.test('without a limit to wait for, no write waits for a slice', async t => {
  const gate = new Gate({ overloadWait: 0, overload: 'write' })
  gate.pause()
  t.equal(gate.pass(), null)
})

t.test('a write that waits for the next slice does not wait for the end of an overload that begins meanwhile', async t => {
  const gate = new Gate({ overloadWait: 60_000, overload: 'refuse' })
  gate.pause()
  const passed = gate.pass()
  gate.shut()
  await passed
  t.equal(gate.isShut, true)
  t.ok(gate.pass(), 'the next one waits')
  gate.open()
})

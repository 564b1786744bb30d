import fc from 'fast-check'
import t from 'tap'
import { Ring } from '../../stream/ring.ts'

const limit = 10

t.test('a ring keeps the newest items that fit, as a list would that is cut by hand', async t => {
  const op = fc.oneof(
    { weight: 4, arbitrary: fc.record({ push: fc.nat(4), size: fc.nat(6) }) },
    fc.record({ dropTo: fc.nat(20) }),
    fc.record({ restart: fc.nat(30) })
  )
  await fc.assert(fc.asyncProperty(fc.array(op, { maxLength: 60 }), async ops => {
    const ring = new Ring<{ position: number, size: number }>(0, limit, ({ size }) => size)
    let items: Array<{ position: number, size: number }> = []
    let end = 0
    let floor = 0
    for (const step of ops) {
      if ('push' in step) {
        const item = { position: end += 1 + step.push, size: step.size }
        ring.push(item)
        items.push(item)
        while (items.reduce((sum, { size }) => sum + size, 0) > limit) floor = items.shift()?.position ?? floor
      } else if ('dropTo' in step) {
        const upTo = Math.max(0, end - step.dropTo)
        floor = Math.max(floor, upTo)
        ring.dropTo(upTo)
        items = items.filter(({ position }) => position > floor)
      } else {
        items = []
        ring.restart(end = floor = step.restart)
      }
      t.equal(ring.floor, floor)
      for (let position = 0; position <= end + 1; position++) {
        const expected = position < floor ? null : items.filter(item => item.position > position)
        for (const bytes of [0, 1, 4, Infinity]) {
          let before = 0
          const some = expected?.filter(({ size }) => (before += size) - size < bytes) ?? null
          if (JSON.stringify(ring.after(position, bytes)) !== JSON.stringify(some)) t.same(ring.after(position, bytes), some)
        }
      }
    }
  }), { numRuns: 300 })
})

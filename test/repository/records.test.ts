import fc from 'fast-check'
import t from 'tap'
import { Records, Walk } from '../../repository/memory/records.ts'

interface Item { readonly id: string, readonly n: number }

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))

function walked (walk: Walk<Item>, most = Infinity): Item[] {
  const found: Item[] = []
  for (let item = found.length < most ? walk.next() : null; item !== null; item = found.length < most ? walk.next() : null) found.push(item)
  return found
}

t.test('records are in order of id, and what was shared stays as it was, whatever is written', async t => {
  const ids = Array.from({ length: 3000 }, (_, index) => `id ${String(index).padStart(4, '0')}`)
  const operation = fc.tuple(fc.constantFrom('set', 'set', 'set', 'delete', 'share', 'step'), fc.integer({ min: 0, max: ids.length - 1 }), fc.constantFrom(1, 1, 20, 300))
  fc.assert(fc.property(fc.array(operation, { maxLength: 200 }), operations => {
    const records = new Records<Item>()
    const model = new Map<string, Item>()
    const sorted = (): Item[] => [...model.values()].sort((a, b) => a.id < b.id ? -1 : 1)
    const views: { walk: Walk<Item>, rest: Item[] }[] = []
    let n = 0
    for (const [kind, start, count] of operations) {
      for (const id of kind === 'set' || kind === 'delete' ? ids.slice(start, start + count) : []) {
        if (kind === 'set') {
          model.set(id, { id, n: ++n })
          records.set(id, model.get(id) as Item)
        } else {
          model.delete(id)
          records.delete(id)
        }
      }
      const after = ids[start] ?? ''
      if (kind === 'share') views.push({ walk: new Walk(records.share(), count === 1 ? '' : after), rest: count === 1 ? sorted() : sorted().filter(item => item.id > after) })
      if (kind === 'step') for (const { walk, rest } of views) if (JSON.stringify(walked(walk, count)) !== JSON.stringify(rest.splice(0, count))) return false
    }
    const whole = JSON.stringify(walked(new Walk(records.chunks))) === JSON.stringify(sorted())
    return whole && ids.every(id => records.get(id) === model.get(id)) && views.every(({ walk, rest }) => JSON.stringify(walked(walk)) === JSON.stringify(rest) && walk.done)
  }), { seed, numRuns: 300 })
})

t.test('a view that waits costs a few bytes for many records, and shares what is not written', async t => {
  const records = new Records<Item>()
  for (let n = 0; n < 100_000; n++) records.set(String(n).padStart(6, '0'), { id: String(n).padStart(6, '0'), n })
  const one = records.share()
  t.equal(records.share(), one, 'two of the same moment are the same')
  records.set('050000', { id: '050000', n: -1 })
  const other = records.share()
  t.ok(one.length < 1000)
  t.equal(other.filter((chunk, index) => chunk !== one[index]).length, 1)
})

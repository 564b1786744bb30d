import fc from 'fast-check'
import t from 'tap'
import { LogEntry } from '../../protocol/change.ts'
import { type Filter, everything, filterKey } from '../../protocol/filter.ts'
import { parseWhere } from '../../protocol/where.ts'
import { Resource } from '../../repository/resource.ts'
import { ClassIndex } from '../../stream/class-index.ts'
import { FilterClass } from '../../stream/filter-class.ts'
import { judgeOf } from '../../stream/filter.ts'
import { textReader } from '../../stream/reader.ts'
import { type Leaf, Thing, thing, where } from '../things.ts'

const cases = 100_000
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const { properties } = new Resource({ name: 'things', noun: 'thing', schema: Thing })
const reader = textReader('thing')

function classOf (filter: Filter): FilterClass {
  return new FilterClass(filterKey(filter), filter, reader, { log: { cursor: position => `e.${position}` }, position: 0, ringSize: 1 })
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function randomOf (state: number): () => number {
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function entryOf (before: Leaf | null, after: Leaf | null): LogEntry {
  const text = (record: Leaf | null): string | null => record && JSON.stringify(record)
  return new LogEntry({ position: 1, id: 'a', time: 0, version: 'v', json: text(after), beforeJson: text(before) })
}

t.test(`the index finds every class that a change concerns, whoever comes and goes, in ${cases.toLocaleString('en')} cases`, { timeout: 60_000 }, async t => {
  const chance = randomOf(seed)
  const one = <T>(list: readonly T[]): T => list[Math.floor(chance() * list.length)] as T
  const records = fc.sample(thing, { numRuns: 300, seed }).map((record, index): Leaf => ({ id: ['a', 'b', 'ab', ''][index % 4], ...record }))
  const wheres = fc.sample(where, { numRuns: 1000, seed }).map(condition => parseWhere(condition, properties))
  const index = new ClassIndex()
  const classes: FilterClass[] = []
  let [compared, found, concerned] = [0, 0, 0]
  while (compared < cases) {
    if (classes.length < 20 || (classes.length < 80 && chance() < 0.5)) {
      const added = classOf({ ...everything, kinds: one(['all', 'saves', 'deletes'] as const), where: one(wheres) })
      classes.push(added)
      index.add(added)
    } else {
      index.delete(classes.splice(Math.floor(chance() * classes.length), 1)[0] as FilterClass)
    }
    const entry = entryOf(chance() < 0.3 ? null : one(records), chance() < 0.3 ? null : one(records))
    const candidates = [...index.candidates(entry)]
    const expected = classes.filter(({ filter }) => judgeOf(filter)(entry) !== null)
    const missed = expected.filter(filterClass => !candidates.includes(filterClass))
    const strange = candidates.filter((filterClass, place) => !classes.includes(filterClass) || candidates.indexOf(filterClass) !== place)
    if (missed.length > 0 || strange.length > 0) return t.fail(`seed ${seed}: missed ${missed.map(({ key }) => key).join(' ')}; too much ${strange.map(({ key }) => key).join(' ')}`, { before: entry.beforeJson, after: entry.json })
    compared += classes.length
    found += candidates.length
    concerned += expected.length
  }
  t.ok(concerned > cases / 20, `${concerned} cases concerned a class`)
  t.ok(found < compared, `${found} candidates`)
  for (const filterClass of classes) index.delete(filterClass)
  t.same([...index.candidates(entryOf(one(records), one(records)))], [], 'nothing is left')
})

t.test('of classes with an equality each, only those are looked at that a change concerns', async t => {
  const index = new ClassIndex()
  const classOfJob = (s: string): FilterClass => classOf({ ...everything, where: parseWhere({ s }, properties) })
  const classes = Array.from({ length: 10_000 }, (_, number) => classOfJob(`job ${number}`))
  for (const filterClass of classes) index.add(filterClass)
  t.same([...index.candidates(entryOf({ s: 'job 7' }, { s: 'job 8' }))].map(({ key }) => key).sort(), [classes[7]?.key, classes[8]?.key].sort())
  t.same([...index.candidates(entryOf(null, { s: 'another' }))], [])
  const several = classOf({ ...everything, where: parseWhere({ n: { $gt: 0 }, s: { $in: ['job 7', 'job 9'] }, $or: [{ b: true }, { b: false }] }, properties) })
  index.add(several)
  t.ok([...index.candidates(entryOf(null, { s: 'job 9' }))].includes(several))
  t.equal([...index.candidates(entryOf(null, { s: 'job 8' }))].length, 1)
})

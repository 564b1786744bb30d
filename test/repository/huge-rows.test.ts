import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Type } from '@sinclair/typebox'
import { parseSort } from '../../protocol/sort.ts'
import { parseWhere } from '../../protocol/where.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { driver, sqliteOptions } from '../helper.ts'

const size = 50_000_000
const resource = new Resource({ name: 'things', noun: 'thing', schema: Type.Object({ a: Type.Optional(Type.String()) }), maxRecord: 10_000 })
const { properties } = resource
const huge = '01a20534-c25c-7000-9154-5bef6f8084dc'

/** Runs SQL on the file in a process of its own, whose memory is not this one's. */
function elsewhere (file: string, sql: string): void {
  execFileSync(process.execPath, ['--import=tsx', '--input-type=module', '-e', `
    import { findDriver } from './repository/sqlite/driver.ts'
    const connection = (await findDriver(${JSON.stringify(driver().driver)}))(${JSON.stringify(file)})
    connection.exec('PRAGMA busy_timeout = 5000; PRAGMA ignore_check_constraints = ON')
    connection.exec(${JSON.stringify(sql)})
    connection.close()`])
}

/** SQLite itself reads a row once where it seeks past it, since the table has no other key than the rows. */
const most = 1.4 * size / 1e6

/** The most memory that the process has had since `startOfPeak`, MB; 0 where only Linux could tell. */
function peak (): number {
  return process.platform === 'linux' ? Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024 : 0
}

function startOfPeak (): number {
  if (process.platform === 'linux') writeFileSync('/proc/self/clear_refs', '5')
  return peak()
}

t.test('a row far larger than a record is not read to find it unreadable', async t => {
  const { file } = sqliteOptions(t)
  const things = new Repository(resource, await sqlite({ ...driver(), file, pollInterval: 60_000 })(resource), () => {})
  t.teardown(() => things.close())
  const one = await things.create({ a: 'x' })
  const early = things.log.snapshot(null)
  const start = things.log.position
  elsewhere(file, `INSERT INTO things (id, record) VALUES ('${huge}', '{"id":"${huge}","a":"' || printf('%.*c', ${size}, 'x') || '"}')`)
  const inserted = things.log.snapshot(parseWhere({ a: 'x' }, properties))
  const list = async (where: object | null, sort = ''): Promise<unknown> => (await things.list({ where: where && parseWhere(where, properties), sort: sort === '' ? [] : parseSort(sort, properties), limit: 10, after: null })).items.map(({ id }) => id)
  const ids = async (snapshot: typeof early): Promise<unknown> => {
    const found: string[] = []
    for (let piece = await snapshot.next(); piece; piece = await snapshot.next()) found.push(...piece.map(({ id }) => id))
    return found
  }
  const log = async (): Promise<unknown> => (await things.log.changes(start, 10)).entries.map(({ json, beforeJson }) => [beforeJson, json])
  const ways: readonly (readonly [what: string, read: () => Promise<unknown>, answer: unknown])[] = [
    ['GET of one', () => things.get(huge), null],
    ['a list', () => list(null), [one.id]],
    ['a list with a where', () => list({ a: 'x' }), [one.id]],
    ['a list with a where of several', () => list({ $or: [{ a: { $gte: 'x' } }, { a: { $in: ['y', 'z'] } }, { a: { $ne: 'q' } }] }), [one.id]],
    ['a sorted list', () => list(null, '-a'), [one.id]],
    ['a sorted list with a where', () => list({ a: { $lt: 'y' } }, 'a'), [one.id]],
    ['a snapshot', () => ids(things.log.snapshot(null)), [one.id]],
    ['a snapshot with a where', () => ids(inserted), [one.id]],
    ['a snapshot from before it', () => ids(early), [one.id]],
    ['the log', log, [[null, null]]],
    ['what others have written', () => things.log.refresh(), undefined],
    ['a patch', () => things.patch(huge, { a: 'y' }).catch(error => error.code), 'not-found']
  ]
  for (const [what, read, answer] of ways) {
    const before = startOfPeak()
    t.same(await read(), answer, what)
    t.ok(peak() - before < most, `${what} took ${Math.round(peak() - before)} MB`)
  }
  const late = things.log.snapshot(null)
  elsewhere(file, `UPDATE things SET record = '{"id":"${huge}","a":"y"}' WHERE id = '${huge}'`)
  const before = startOfPeak()
  t.same(await ids(late), [one.id], 'what it was is undone in a snapshot')
  t.same(await log(), [[null, null], [null, `{"id":"${huge}","a":"y"}`]], 'it stands in the log')
  t.ok(peak() - before < most, `the log took ${Math.round(peak() - before)} MB`)
  t.equal((await things.get(huge))?.json, `{"id":"${huge}","a":"y"}`, 'it can be mended')
})

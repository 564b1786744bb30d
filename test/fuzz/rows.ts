import type { Random } from '../model/random.ts'
import type { Connection, Value } from '../../repository/sqlite/driver.ts'
import { judgeAnswer, type Answer } from './answers.ts'
import { exchange } from './exchange.ts'
import { Finding, shown } from './finding.ts'
import type { Family, Target } from './input.ts'
import { head } from './requests.ts'
import { type Fuzzed, ids } from './resources.ts'
import { anything, broken, deepText, spelled, text } from './values.ts'

interface Step { readonly sql: string, readonly values: readonly Value[] }

/** The text of a row, mostly with the row's `id` in it. */
function rowText (random: Random, id: string, resource: Fuzzed): string {
  const record = { id, ...resource.record(random) }
  const json = JSON.stringify(record)
  const member = `{"id":${JSON.stringify(id)},`
  return random.pick<() => string>([
    () => json,
    () => spelled(random, record),
    () => JSON.stringify(record, null, random.between(1, 4)),
    () => `${member}"n":${random.pick(['NaN', 'Infinity', '-Infinity', '0x1F', '+1', '.5', '1.', '9007199254740993', '9007199254740999', '12345678901234567890', '1e400', '-0', '1E2'])}}`,
    () => `${member}s:'single',n:1}`,
    () => `${member}"n":1,}`,
    () => `${member}/* a comment */"n":1}`,
    () => `${member}"n":1,"s":"line\nbreak"}`,
    () => `${member}"n":1,"s":"event: delete\r\ndata: {}\n\nid: x"}`,
    () => `${member}"n":1,"id":${random.pick([JSON.stringify(id), '"other"', '1'])}}`,
    () => `{"id":${JSON.stringify(random.pick([id.toUpperCase(), 'other', `"${id}"`, 1, null, [id]]))},"n":1}`,
    () => `${member}"n":1,"any":${deepText(random)}}`,
    () => `${member}"n":1,"s":"\\ud800"}`,
    () => `${member}"n":1,"s":"\\u0000"}`,
    () => `${member}"__proto__":{"n":1},"n":2}`,
    () => `${member}"n":1,"s":"${'x'.repeat(random.pick([70_000, 1_048_500, 1_100_000, 3_000_000]))}"}`,
    () => broken(random, record),
    () => JSON.stringify(anything(random)),
    () => random.pick(['', ' ', 'null', '[]', '"x"', '1', 'true', '{}', '{', '\ufeff{}', `[${json}]`])
  ])()
}

function rowId (random: Random): string {
  if (random.chance(0.8)) return random.pick(ids).replace(/^0000/, '00ff')
  return random.pick<() => string>([() => text(random).replaceAll('\0', ''), () => random.pick(ids).toUpperCase(), () => `"${random.pick(ids)}"`, () => 'x'.repeat(3000), () => `${random.pick(ids)} `, () => ' ', () => '\n'])()
}

function step (random: Random, resource: Fuzzed, id: string): Step {
  const table = `"${resource.name}"`
  const json = rowText(random, id, resource)
  return random.pick<() => Step>([
    () => ({ sql: `INSERT OR REPLACE INTO ${table} (id, record) VALUES (?, ?)`, values: [id, json] }),
    () => ({ sql: `INSERT OR REPLACE INTO ${table} (id, record) VALUES (?, ?)`, values: [id, json] }),
    () => ({ sql: `INSERT INTO ${table} (id, record) VALUES (?, ?) ON CONFLICT DO UPDATE SET record = excluded.record`, values: [id, json] }),
    () => ({ sql: `INSERT OR IGNORE INTO ${table} (id, record) VALUES (?, ?)`, values: [id, json] }),
    () => ({ sql: `UPDATE ${table} SET record = ? WHERE id = ?`, values: [json, id] }),
    () => ({ sql: `UPDATE OR REPLACE ${table} SET id = ? WHERE id = ?`, values: [rowId(random), id] }),
    () => ({ sql: `UPDATE OR IGNORE ${table} SET record = json_set(record, '$.n', ?) WHERE id = ?`, values: [random.below(10), id] }),
    () => ({ sql: `DELETE FROM ${table} WHERE id = ?`, values: [id] })
  ])()
}

function run (database: Connection, steps: readonly Step[], checks: boolean): void {
  database.exec(`PRAGMA ignore_check_constraints = ${checks ? 'OFF' : 'ON'}; PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE`)
  try {
    for (const { sql, values } of steps) {
      try {
        database.prepare(sql).run(...values)
      } catch (error) {
        if (!/constraint|malformed JSON|too big|JSON path/i.test(String(error))) throw error // what the table refuses is refused
      }
    }
  } finally {
    database.exec('COMMIT')
  }
}

async function ask (target: Target, method: string, at: string): Promise<Answer> {
  const { answers } = await exchange({ port: target.port, pieces: [head(method, at, [])], until: 1 })
  const [answer] = answers
  if (!answer) throw new Finding('no answer', `${method} ${at}`)
  judgeAnswer(answer, true)
  return answer
}

/** What REST and the feed say of a row must be the same, and JSON. */
async function look (target: Target, { path, updates }: Fuzzed, id: string, since: string, { lists, removes }: { lists: string | null, removes: boolean }): Promise<void> {
  if (lists !== null) await ask(target, 'GET', `${path}?limit=1000${lists}`)
  const feed = await ask(target, 'GET', `${updates}?since=${since}`)
  if (feed.status !== 200 && feed.status !== 410) throw new Finding(`a feed with ${feed.status}`, shown(feed.body))
  if (id === '' || id.length > 100 || id.toLowerCase() !== id || /\p{Surrogate}/u.test(id)) return
  const at = `${path}/${encodeURIComponent(id)}`
  const { status } = await ask(target, 'GET', at)
  const list = await ask(target, 'GET', `${path}?where=${encodeURIComponent(JSON.stringify({ id }))}`)
  const listed = list.status === 200 ? (JSON.parse(list.body) as unknown[]).length : NaN
  if (listed === (status === 200 ? 0 : 1)) throw new Finding('a record that is listed and not got, or got and not listed', `${listed} × in the list, ${status} of ${shown(at)}`)
  if (!removes) return
  const removed = await ask(target, 'DELETE', at)
  if (removed.status !== 204 && removed.status !== 404) throw new Finding(`a DELETE with ${removed.status}`, shown(at))
}

/** Rows that another program writes into the database, with and without the table's own checks. */
export const rows: Family = {
  name: 'rows',
  weight: 1,
  concurrency: 1,
  needsDatabase: true,
  make (random, target) {
    const resource = random.pick(target.resources)
    const id = rowId(random)
    const steps = Array.from({ length: random.between(1, 3) }, () => step(random, resource, id))
    const checks = random.chance(0.5)
    const looking = { lists: random.pick([null, null, null, '', '&sort=-id']), removes: random.chance(0.7) }
    return {
      get text () {
        return `${checks ? '' : 'PRAGMA ignore_check_constraints = ON; '}${steps.map(({ sql, values }) => `${sql} -- ${shown(JSON.stringify(values), 600)}`).join('; ')}`
      },
      async play () {
        if (!target.database) return
        const before = await ask(target, 'GET', `${resource.path}?limit=1`)
        run(target.database, steps, checks)
        await look(target, resource, id, before.headers.get('change-cursor') ?? 'now', looking)
      }
    }
  }
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import type { Json } from '../../protocol/change.ts'
import { Person } from '../../plugin/options.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { type Person as PersonRecord, ada, driver, request } from '../helper.ts'

const rounds = 5
const writers = 32

/** A server process on the file, and its address. */
async function serve (file: string): Promise<{ child: ChildProcess, url: string }> {
  const main = new URL('../../bin/main.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--import=tsx', main, '--port', '0', '--database', file, '--log-level', 'silent'], { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const chunk of child.stdout) {
    const [url] = /http:\/\/[\d.:]+\/people/.exec(String(chunk)) ?? []
    if (url) return { child, url }
  }
  throw new Error('the server ended')
}

t.test('a server killed in the middle of concurrent writes has kept every write that it answered, and its log fits its records', { timeout: 120_000 }, async t => {
  const file = `${t.testdir()}/people.db`
  const last = new Map<string, { answered: string | null, asked: string | null }>()
  let answers = 0
  for (let round = 0; round < rounds; round++) {
    const { child, url } = await serve(file)
    const killed = new AbortController()
    const write = async (writer: number): Promise<void> => {
      for (let age = 0; !killed.signal.aborted; age++) {
        const created = await request<PersonRecord>(url, 'POST', { ...ada, age, job: `writer ${writer}` })
        answers++
        const { id } = created.body
        last.set(id, { answered: created.text, asked: created.text })
        const asked = JSON.stringify({ ...created.body, age: age + 1000 })
        last.set(id, { answered: created.text, asked })
        const patched = await request(`${url}/${id}`, 'PATCH', { age: age + 1000 })
        answers++
        last.set(id, { answered: patched.text, asked: patched.text })
        if (age % 3) continue
        last.set(id, { answered: patched.text, asked: null })
        await request(`${url}/${id}`, 'DELETE')
        answers++
        last.set(id, { answered: null, asked: null })
      }
    }
    const writing = Array.from({ length: writers }, (_, writer) => write(writer).catch(() => {}))
    const enough = answers + 100 + Math.floor(Math.random() * 100)
    const busy = (): boolean => answers < enough && child.exitCode === null
    while (busy()) await new Promise(resolve => setTimeout(resolve, 5))
    child.kill('SIGKILL')
    killed.abort()
    await Promise.all([once(child, 'exit'), ...writing])

    const resource = new Resource({ name: 'people', noun: 'person', schema: Person })
    const people = new Repository(resource, await sqlite({ ...driver(), file })(resource), error => t.error(error))
    const { floor, head, entries } = await people.log.changes(0, 1_000_000)
    t.equal(floor, 0)
    t.same(entries.map(entry => entry.position), Array.from({ length: head }, (_, index) => index + 1), 'positions are dense')
    const replayed = new Map<string, string>()
    for (const { id, json, beforeJson } of entries) {
      if ((replayed.get(id) ?? null) !== beforeJson) t.fail(`the log of ${id} has a hole`)
      if (json === null) replayed.delete(id)
      else replayed.set(id, json)
    }
    const stored = new Map<string, string>()
    const snapshot = people.log.snapshot(null)
    for (let piece = await snapshot.next(); piece !== null; piece = await snapshot.next()) for (const { id, json } of piece) stored.set(id, json)
    t.same([...replayed].sort(), [...stored].sort(), 'the log makes the records')
    let lost = 0
    for (const [id, { answered, asked }] of last) {
      const found = stored.get(id) ?? null
      if (found !== answered && found !== asked) lost++
    }
    t.equal(lost, 0, `of ${answers} answered writes none is lost`)
    for (const [id, json] of stored) t.equal((JSON.parse(json) as Json).id, id)
    for (const id of last.keys()) last.set(id, { answered: stored.get(id) ?? null, asked: stored.get(id) ?? null })
    await people.close()
  }
  t.ok(answers >= rounds * 100, `${answers} writes were answered`)
})

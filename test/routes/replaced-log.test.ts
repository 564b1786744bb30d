import { once } from 'node:events'
import { type IncomingMessage, get } from 'node:http'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import changeStream from '../../plugin/index.ts'
import { findDriver } from '../../repository/sqlite/driver.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { ada, connect, driver, listen, request, sqliteOptions, until } from '../helper.ts'
import { subprotocol } from '../../protocol/index.ts'

/** An app whose hooks replace the log while a stream is being opened, once `trap` is set. */
async function build (t: Test): Promise<{ origin: string, trap: { set: boolean } }> {
  const options = sqliteOptions(t)
  const app = Fastify()
  t.teardown(() => app.close())
  const trap = { set: false }
  app.addHook('preHandler', async () => {
    if (!trap.set) return
    trap.set = false
    const other = (await findDriver(driver().driver))(options.file)
    other.exec(`BEGIN; UPDATE change_streams SET epoch = 'another'; DELETE FROM people_changes WHERE position > 2;
      UPDATE sqlite_sequence SET seq = 2 WHERE name = 'people_changes'; COMMIT`)
    other.close()
    await until(() => app.changeStreams.people.log.epoch === 'another')
  })
  await app.register(changeStream, { rest: 0, repository: sqlite(options) })
  const origin = await listen(app)
  for (let count = 0; count < 5; count++) await app.changeStreams.people.create(ada)
  return { origin, trap }
}

t.test('a stream that was asked for before the log was replaced is of no log any more', async t => {
  for (const since of ['cursor', 'start', 'now']) {
    for (const reader of ['json', 'feed', 'sse'] as const) {
      const { origin, trap } = await build(t)
      const { body } = await request<{ cursor: string }>(`${origin}/updates?limit=1`, 'GET', undefined, { accept: 'application/json' })
      const query = `?since=${since === 'cursor' ? body.cursor : since}`
      trap.set = true
      const name = `${reader}, since ${since}`
      if (reader === 'feed') {
        const { status, body } = await request<{ cursor: string, changes: unknown[], more: boolean }>(`${origin}/updates${query}`, 'GET', undefined, { accept: 'application/json' })
        t.equal(status, since === 'now' ? 200 : 410, name)
        if (since === 'now') t.same(body, { changes: [], cursor: 'another.2', more: false }, name)
      } else if (reader === 'json') {
        const inbox = await connect(t, `${origin}/updates${query}`, subprotocol)
        const first = await inbox.nextJson<{ type: string, cursor: string, code: string }>()
        if (since === 'now') t.match(first, { type: 'ready', cursor: 'another.2' }, name)
        else t.match(first, { type: 'error', code: 'gone' }, name)
      } else {
        const asking = get(`${origin}/updates${query}`, { agent: false, headers: { accept: 'text/event-stream' } })
        const [{ statusCode }] = await once(asking, 'response') as [IncomingMessage]
        t.equal(statusCode, since === 'now' ? 200 : 410, name)
        asking.destroy()
      }
    }
  }
})

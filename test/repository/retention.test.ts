import t, { type Test } from 'tap'
import { Person } from '../../plugin/options.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import type { Retention } from '../../repository/retention.ts'
import { findDriver } from '../../repository/sqlite/driver.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { ada, driver, sqliteOptions, until } from '../helper.ts'

const resource = new Resource({ name: 'people', noun: 'person', schema: Person })
const openFile = await findDriver(driver().driver)
const hour = 3_600_000

async function filled (t: Test, count: number, retention: Partial<Retention>) {
  const options = sqliteOptions(t, { retention, trimInterval: 60_000 })
  const people = new Repository(resource, await sqlite(options)(resource), error => t.error(error))
  await people.createAll(Array.from({ length: count }, () => ada))
  await people.close()
  const connection = openFile(options.file)
  t.teardown(() => connection.close())
  const start = async (): Promise<() => Promise<number>> => {
    const people = new Repository(resource, await sqlite({ ...options, trimInterval: 5 })(resource), error => t.error(error))
    t.teardown(() => people.close())
    return async () => (await people.log.changes(0, 0)).floor
  }
  return { connection, start }
}

for (const [what, later] of [['tomorrow', 24 * hour], ['in the year 9999', 253_370_764_800_000 - Date.now()]] as const) {
  t.test(`an entry that is dated ${what} is forgotten with those after it`, async t => {
    const { connection, start } = await filled(t, 10, { count: 0, age: hour })
    connection.exec(`UPDATE people_changes SET time = ${Date.now() - 2 * hour} WHERE position <= 8; UPDATE people_changes SET time = ${Date.now() + later} WHERE position IN (1, 3, 4)`)
    const floor = await start()
    await until(async () => await floor() === 8, 'the trimming')
  })
}

t.test('a clock that was set back keeps nothing for longer than the age says, once a process has known it for that long', async t => {
  const { connection, start } = await filled(t, 1200, { count: 0, age: 30 })
  connection.exec(`UPDATE people_changes SET time = ${Date.now() + 24 * hour}`)
  const floor = await start()
  await until(async () => await floor() === 1200, 'the trimming')
})

t.test('what is dated a little too late is kept for its age', async t => {
  const { connection, start } = await filled(t, 10, { count: 0, age: hour })
  connection.exec(`UPDATE people_changes SET time = ${Date.now() - 2 * hour} WHERE position <= 3; UPDATE people_changes SET time = ${Date.now() + 1000} WHERE position > 3`)
  const floor = await start()
  await until(async () => await floor() === 3, 'the trimming')
  for (let turn = 0; turn < 10; turn++) await new Promise(resolve => setTimeout(resolve, 5))
  t.equal(await floor(), 3)
})

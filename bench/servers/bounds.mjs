// Reads the log of a SQLite file with nothing behind it: told `task`, prints how many milliseconds it took.
import { findDriver } from '../../dist/repository/sqlite/driver.js'

const { DATABASE, TASK } = process.env
const database = (await findDriver())(DATABASE)
database.exec('PRAGMA busy_timeout = 10000') // the server that had it may still be writing its WAL back
const log = database.prepare('SELECT position, id, time, after FROM people_changes WHERE position > ? ORDER BY position LIMIT 1000')
const records = database.prepare('SELECT id, record, version FROM people WHERE id > ? ORDER BY id LIMIT 1000')
const matching = database.prepare('SELECT count(*) AS count FROM people WHERE record ->> \'$.age\' < 1')

function walk (statement, key, start, visit) {
  for (let last = start, rows = statement.all(last); rows.length > 0; rows = statement.all(last)) {
    last = rows.at(-1)[key]
    visit(rows)
  }
}

let length = 0
const encode = rows => {
  const changes = rows.map(({ id, position, time, after }) => `{"op":"save","id":"${id}","position":${position},"at":"${new Date(time).toISOString()}","version":"${position}","record":${after}}`)
  length += Buffer.from(`{"type":"changes","changes":[${changes.join()}]}`).length
}

const tasks = {
  'scan of the log': () => walk(log, 'position', 0, rows => { length += rows.length }),
  'scan and encoding of the log': () => walk(log, 'position', 0, encode),
  'scan of the records': () => walk(records, 'id', '', rows => { length += rows.length }),
  'filter in SQLite': () => { length += matching.get().count }
}

const begun = performance.now()
tasks[TASK]()
console.log(JSON.stringify({ milliseconds: performance.now() - begun, length }))

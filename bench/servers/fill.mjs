// Fills the tables of a SQLite file with COUNT people, and so its log.
import { findDriver } from '../../dist/repository/sqlite/driver.js'

const { DATABASE, COUNT } = process.env
const database = (await findDriver())(DATABASE)
database.exec(`PRAGMA synchronous = OFF; PRAGMA cache_size = -200000;
  WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers LIMIT ${Number(COUNT)}),
  people_ids (n, id) AS (SELECT n, printf('%08x-0000-4000-8000-%012x', n, n) FROM numbers)
  INSERT INTO people (id, record)
  SELECT id, json_object('id', id, 'firstName', 'Ada', 'lastName', printf('t=%016d#%09d', 0, n), 'age', n % 100, 'job', 'mathematician') FROM people_ids;
  PRAGMA wal_checkpoint(TRUNCATE)`)
database.close()
console.log('{}')

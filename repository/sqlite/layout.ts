import type { Connection } from './driver.ts'
import { newEpoch } from './epochs.ts'
import { assertOurs } from './names.ts'
import { type Tables, nameOf, suffixes } from './tables.ts'
import { type Trigger, idSql, recordSql, triggers, vouchedSql } from './triggers.ts'

const registry = `
  CREATE TABLE IF NOT EXISTS main.change_streams (
    resource TEXT NOT NULL PRIMARY KEY,
    layout INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    floor INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS main.change_stream_epochs (
    resource TEXT NOT NULL,
    up_to INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    PRIMARY KEY (resource, up_to)
  ) STRICT, WITHOUT ROWID`

interface Layout {
  /** Makes this layout's tables of those of the one before, and leaves all that is in them as it is. */
  readonly step: (connection: Connection, tables: Tables) => void
  readonly triggers: readonly Trigger[]
}

function firstTables (connection: Connection, { records, changes, replaced }: Tables): void {
  connection.exec(`
    CREATE TABLE IF NOT EXISTS ${records} (
      id TEXT NOT NULL PRIMARY KEY,
      record TEXT NOT NULL CHECK (record ->> '$.id' IS id),
      version INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE ${changes} (
      position INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL,
      time INTEGER NOT NULL,
      before TEXT,
      before_version INTEGER,
      after TEXT
    ) STRICT;
    CREATE TABLE ${replaced} (id TEXT NOT NULL PRIMARY KEY, record TEXT NOT NULL, version INTEGER NOT NULL) STRICT, WITHOUT ROWID`)
}

/**
 * Refuses what is no record, and holds a large record once in the log. A `version` becomes negative where
 * nobody can vouch for the record. Rows that would be refused now are taken over: they are unreadable.
 */
function strictTables (connection: Connection, { name, plain, replaced, large }: Tables): void {
  rebuild(connection, name, `
      id TEXT NOT NULL PRIMARY KEY CONSTRAINT id_is_plain CHECK (${idSql}),
      record TEXT NOT NULL CONSTRAINT record_is_a_json_object_with_its_id CHECK (${recordSql}),
      version INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID`,
  rows => `SELECT id, record, CASE WHEN ${vouchedSql('id', 'record')} THEN abs(version) ELSE -abs(version) END FROM ${rows}`)
  const log = `${name}${suffixes.changes}`
  const head = headOf(connection, log)
  const isDone = connection.prepare('SELECT 1 FROM pragma_table_info(?, \'main\') WHERE name = \'large\'').get(log) !== undefined
  if (!isDone) {
    rebuild(connection, log, `
      position INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL,
      time INTEGER NOT NULL,
      checked INTEGER NOT NULL,
      large INTEGER NOT NULL,
      before_version INTEGER,
      before TEXT,
      after TEXT
    ) STRICT`,
    rows => `SELECT position, id, time, 0, 0, -before_version, before, after FROM ${rows}`)
  }
  setHead(connection, log, head)
  connection.exec(`CREATE INDEX IF NOT EXISTS ${large} ON ${plain.changes} (id) WHERE large = 1; UPDATE ${replaced} SET version = -abs(version)`)
}

/** Puts a table of the same name in a table's place, with the indexes and triggers that the app has put on that. */
function rebuild (connection: Connection, name: string, definition: string, select: (rows: string) => string): void {
  const [table, aside] = [nameOf(name), nameOf(`${name}_rebuilt`)]
  const extras = connection.prepare('SELECT sql FROM main.sqlite_schema WHERE tbl_name = ? COLLATE NOCASE AND type IN (\'index\', \'trigger\') AND sql IS NOT NULL').all(name) as { sql: string }[]
  connection.exec(`
    PRAGMA legacy_alter_table = ON; -- what else in the file speaks of the table goes on to do so
    CREATE TABLE main.${aside} (${definition};
    INSERT INTO main.${aside} ${select(`main.${table}`)};
    DROP TABLE main.${table};
    ALTER TABLE main.${aside} RENAME TO ${table};
    PRAGMA legacy_alter_table = OFF`)
  for (const { sql } of extras) connection.exec(sql)
}

/**
 * How the tables are made, one step per layout; a file of an older layout gets the steps that it lacks.
 * The record is JSON text: what was measured beside real columns is told in docs/storage.md.
 */
const layouts: readonly Layout[] = [
  { step: firstTables, triggers: ['replace', 'insert', 'update', 'rename', 'delete'] },
  { step: strictTables, triggers: ['create', 'replace', 'move', 'insert', 'update', 'rename', 'delete'] }
]

const newest = layouts.length

/**
 * Makes the tables and triggers of a resource, or brings them up to date, and begins an epoch, inside the caller's transaction.
 * Constraints must not be enforced in it, neither those of rows nor foreign keys.
 * @throws {TypeError} where the file has a newer layout, or where a name is taken
 */
export function prepareLayout (connection: Connection, tables: Tables): void {
  connection.exec(registry)
  const known = connection.prepare('SELECT layout, epoch, floor FROM main.change_streams WHERE resource = ?').get(tables.name) as { layout: number, epoch: string, floor: number } | undefined
  if (known && known.layout > newest) {
    throw new TypeError(`it has layout ${known.layout} of "${tables.name}", and this version knows layouts up to ${newest}: update fastify-change-stream`)
  }
  assertOurs(connection, tables)
  const whole = known !== undefined && isWhole(connection, tables, known.layout)
  if (!whole) connection.exec(`DROP TABLE IF EXISTS ${tables.changes}; DROP TABLE IF EXISTS ${tables.replaced}`)
  if (!whole || known.layout < newest) {
    const made = Object.entries(triggers(tables)).map(([name, text]) => ({ name: nameOf(`${tables.name}_${name}`), text }))
    for (const { name } of made) connection.exec(`DROP TRIGGER IF EXISTS main.${name}`)
    for (const { step } of layouts.slice(whole ? known.layout : 0)) step(connection, tables)
    for (const { name, text } of made) connection.exec(`CREATE TRIGGER main.${name} ${text}`)
  }
  const floor = whole ? known.floor : restart(connection, tables)
  if (whole) connection.prepare(endEpoch).run(tables.name, known.epoch, headOf(connection, `${tables.name}${suffixes.changes}`))
  connection.prepare('INSERT OR REPLACE INTO main.change_streams (resource, layout, epoch, floor) VALUES (?, ?, ?, ?)')
    .run(tables.name, newest, newEpoch(), floor)
}

/** The last epoch is over, at the newest position. One that has given out none is forgotten, since no cursor bears its name. */
const endEpoch = 'INSERT OR IGNORE INTO main.change_stream_epochs (resource, epoch, up_to) VALUES (?, ?, ?)'

/** Starts an empty log behind the versions that records bear, so that none is given out twice. */
function restart (connection: Connection, { name, records }: Tables): number {
  connection.prepare('DELETE FROM main.change_stream_epochs WHERE resource = ?').run(name)
  const { version } = connection.prepare(`SELECT coalesce(max(abs(version)), 0) AS version FROM ${records}`).get() as { version: number }
  setHead(connection, `${name}${suffixes.changes}`, version)
  return version
}

function headOf (connection: Connection, log: string): number {
  return (connection.prepare('SELECT coalesce(max(seq), 0) AS head FROM main.sqlite_sequence WHERE name = ?').get(log) as { head: number }).head
}

function setHead (connection: Connection, log: string, head: number): void {
  connection.prepare('DELETE FROM main.sqlite_sequence WHERE name = ?').run(log)
  connection.prepare('INSERT INTO main.sqlite_sequence (name, seq) VALUES (?, ?)').run(log, head)
}

/** Whether nothing could have been written past the log: its table and all the triggers of its layout are there. */
function isWhole (connection: Connection, { name }: Tables, layout: number): boolean {
  const log = `${name}${suffixes.changes}`
  const items = connection.prepare('SELECT type, name FROM main.sqlite_schema WHERE (type = \'trigger\' AND tbl_name = ?) OR (type = \'table\' AND name = ?)').all(name, log) as { type: string, name: string }[]
  const has = (type: string, name: string): boolean => items.some(item => item.type === type && item.name === name)
  return has('table', log) && (layouts[layout - 1]?.triggers ?? []).every(trigger => has('trigger', `${name}_${trigger}`))
}

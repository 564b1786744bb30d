import type { Connection } from './driver.ts'
import { newEpoch } from './epochs.ts'

/** The tables of one resource, quoted for SQL. */
export interface Tables {
  /** The name as it is, and as SQL text. */
  readonly name: string
  readonly nameText: string
  /** `id`, `record` (JSON), `version`. */
  readonly records: string
  /** The log. */
  readonly changes: string
  /** What `INSERT OR REPLACE` is about to replace, which fires no trigger of its own. */
  readonly replaced: string
  /** Name of a trigger. */
  trigger (name: string): string
}

export function tablesOf (name: string): Tables {
  const quoted = (suffix = ''): string => `"${name}${suffix}"`
  return {
    name,
    nameText: `'${name}'`,
    records: quoted(),
    changes: quoted('_changes'),
    replaced: quoted('_replaced'),
    trigger: trigger => quoted(`_${trigger}`)
  }
}

const registry = `
  CREATE TABLE IF NOT EXISTS change_streams (
    resource TEXT NOT NULL PRIMARY KEY,
    layout INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    floor INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS change_stream_epochs (
    resource TEXT NOT NULL,
    up_to INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    PRIMARY KEY (resource, up_to)
  ) STRICT, WITHOUT ROWID`

/**
 * How the tables are made, one step per layout; a file of an older layout gets the steps that it lacks.
 * The record is JSON text: what was measured beside real columns is told in docs/storage.md.
 */
const steps: readonly ((tables: Tables) => string)[] = [
  ({ records, changes, replaced }) => `
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
    CREATE TABLE ${replaced} (id TEXT NOT NULL PRIMARY KEY, record TEXT NOT NULL, version INTEGER NOT NULL) STRICT, WITHOUT ROWID`
]

const now = 'CAST(round((julianday(\'now\') - 2440587.5) * 86400000) AS INTEGER)' // unixepoch's 'subsec' is newer than many a shell

/** The triggers that write the log, whoever writes the record: this process, another, or a shell. */
function triggers ({ records, changes, replaced, trigger }: Tables): Record<string, string> {
  const log = (id: string, before: string, version: string, after: string): string =>
    `INSERT INTO ${changes} (id, time, before, before_version, after) VALUES (${id}, ${now}, ${before}, ${version}, ${after})`
  const previous = (column: string): string => `(SELECT ${column} FROM ${replaced} WHERE id = NEW.id)`
  const stamp = `UPDATE ${records} SET version = last_insert_rowid() WHERE id = NEW.id`
  const forget = (id: string): string => `DELETE FROM ${replaced} WHERE id = ${id}`
  return {
    [trigger('replace')]: `BEFORE INSERT ON ${records} WHEN EXISTS (SELECT 1 FROM ${records} WHERE id = NEW.id) BEGIN
      ${forget('NEW.id')};
      INSERT INTO ${replaced} SELECT id, record, version FROM ${records} WHERE id = NEW.id;
    END`,
    [trigger('insert')]: `AFTER INSERT ON ${records} BEGIN
      ${log('NEW.id', previous('record'), previous('version'), 'NEW.record')};
      ${stamp};
      ${forget('NEW.id')};
    END`,
    [trigger('update')]: `AFTER UPDATE OF id, record ON ${records} WHEN NEW.id = OLD.id AND NEW.record <> OLD.record BEGIN
      ${log('NEW.id', 'OLD.record', 'OLD.version', 'NEW.record')};
      ${stamp};
      ${forget('NEW.id')};
    END`,
    [trigger('rename')]: `AFTER UPDATE OF id, record ON ${records} WHEN NEW.id <> OLD.id BEGIN
      ${log('OLD.id', 'OLD.record', 'OLD.version', 'NULL')};
      ${log('NEW.id', 'NULL', 'NULL', 'NEW.record')};
      ${stamp};
      ${forget('OLD.id')};
    END`,
    [trigger('delete')]: `AFTER DELETE ON ${records} BEGIN
      ${log('OLD.id', 'OLD.record', 'OLD.version', 'NULL')};
      ${forget('OLD.id')};
    END`
  }
}

/**
 * Makes the tables and triggers of a resource, or brings them up to date, and begins an epoch, inside the caller's transaction.
 * @throws {TypeError} where the file has a newer layout, or a table of that name that is not ours
 */
export function prepareLayout (connection: Connection, tables: Tables): void {
  connection.exec(registry)
  const known = connection.prepare('SELECT layout, epoch, floor FROM change_streams WHERE resource = ?').get(tables.name) as { layout: number, epoch: string, floor: number } | undefined
  if (known && known.layout > steps.length) {
    throw new TypeError(`it has layout ${known.layout} of "${tables.name}", and this version knows layouts up to ${steps.length}: update fastify-change-stream`)
  }
  assertOurs(connection, tables)
  const whole = known !== undefined && isWhole(connection, tables)
  if (!whole) connection.exec(`DROP TABLE IF EXISTS ${tables.changes}; DROP TABLE IF EXISTS ${tables.replaced}`)
  if (!whole || known.layout < steps.length) {
    for (const step of steps.slice(whole ? known.layout : 0)) connection.exec(step(tables))
    for (const [name, text] of Object.entries(triggers(tables))) connection.exec(`DROP TRIGGER IF EXISTS ${name}; CREATE TRIGGER ${name} ${text}`)
  }
  const floor = whole ? known.floor : restart(connection, tables)
  if (whole) connection.prepare(endEpoch).run(tables.name, known.epoch, `${tables.name}_changes`)
  connection.prepare('INSERT OR REPLACE INTO change_streams (resource, layout, epoch, floor) VALUES (?, ?, ?, ?)')
    .run(tables.name, steps.length, newEpoch(), floor)
}

/** The last epoch is over, at the newest position. One that has given out none is forgotten, since no cursor bears its name. */
const endEpoch = `
  INSERT OR IGNORE INTO change_stream_epochs (resource, epoch, up_to)
  VALUES (?, ?, coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0))`

/** Starts an empty log behind the versions that records bear, so that none is given out twice. */
function restart (connection: Connection, { name, records }: Tables): number {
  connection.prepare('DELETE FROM change_stream_epochs WHERE resource = ?').run(name)
  const { version } = connection.prepare(`SELECT coalesce(max(version), 0) AS version FROM ${records}`).get() as { version: number }
  connection.prepare('INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)').run(`${name}_changes`, version)
  return version
}

/** @throws {TypeError} where one of the names is taken by something else: an app's own table, or another resource */
function assertOurs (connection: Connection, { name }: Tables): void {
  const alike = connection.prepare('SELECT resource FROM change_streams WHERE resource = ? COLLATE NOCASE AND resource <> ?').get(name, name) as { resource: string } | undefined
  if (alike) throw new TypeError(`it has a resource "${alike.resource}", and SQLite tells no "${name}" from it: name the resource differently, or use another file`)
  const columnsOf = connection.prepare('SELECT group_concat(name) AS names FROM (SELECT name FROM pragma_table_info(?) ORDER BY name)')
  for (const [suffix, expected] of Object.entries(columns)) {
    const { names } = columnsOf.get(name + suffix) as { names: string | null }
    if (names !== null && names !== expected) throw new TypeError(`it has a table "${name}${suffix}" that is not one of ours (${expected}): name the resource differently, or use another file`)
  }
}

/** The columns of a resource's tables, by what follows its name. */
const columns = { '': 'id,record,version', _changes: 'after,before,before_version,id,position,time', _replaced: 'id,record,version' } as const

/** Whether nothing could have been written past the log: its table and all its triggers are there. */
function isWhole (connection: Connection, tables: Tables): boolean {
  const wanted = [tables.changes, ...Object.keys(triggers(tables))].map(quoted => quoted.slice(1, -1))
  const found = connection.prepare(`SELECT count(*) AS count FROM sqlite_schema WHERE name IN (${wanted.map(() => '?').join()})`).get(...wanted) as { count: number }
  return found.count === wanted.length
}

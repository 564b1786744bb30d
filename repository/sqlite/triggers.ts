import type { Tables } from './tables.ts'

/** The `version` that this package gives a record which it has checked itself, until the triggers put its position there. */
export const vouched = -9_000_000_000_000_000

/** Characters of a record from which on the log holds it once: as the `before` of the record's next entry. Its own entry says `''`. */
const largeFrom = 4096

const now = 'CAST(round((julianday(\'now\') - 2440587.5) * 86400000) AS INTEGER)' // unixepoch's 'subsec' is newer than many a shell

/** The triggers by what they do. */
export type Trigger = 'create' | 'replace' | 'move' | 'insert' | 'update' | 'rename' | 'delete'

/**
 * The triggers that write the log, whoever writes the record: this process, another, or a shell. No table is called by its
 * name where a column of `NEW` or `OLD` is meant too: a table may bear that very name.
 */
export function triggers ({ plain: { records, changes, replaced } }: Tables): Readonly<Record<Trigger, string>> {
  const forget = (id: string): string => `DELETE FROM ${replaced} WHERE id = ${id}`
  const kept = (after: string): string => `CASE WHEN length(${after}) > ${largeFrom} THEN '' WHEN ${after} = '' THEN ' ' ELSE ${after} END` // '' says where to look
  const log = (id: string, before: string, version: string, after: string, from = ''): string => `
    INSERT INTO ${changes} (id, time, checked, large, before_version, before, after)
    SELECT ${id}, ${now}, ${after === 'NULL' ? '1' : `CASE WHEN NEW.version = ${vouched} THEN 1 ELSE ${vouchedSql(id, after)} END`},
      coalesce(length(${before}) > ${largeFrom}, 0),
      ${version}, ${before}, ${kept(after)} ${from}`
  const previous = `FROM (SELECT 1) LEFT JOIN ${replaced} AS former ON former.id = NEW.id`
  const position = `(SELECT CASE WHEN entry.checked THEN entry.position ELSE -entry.position END FROM ${changes} AS entry WHERE entry.position = last_insert_rowid())`
  const stamp = `UPDATE ${records} SET version = CASE WHEN version = ${vouched} THEN last_insert_rowid() ELSE ${position} END WHERE id = (SELECT NEW.id)`
  const exists = `EXISTS (SELECT 1 FROM ${records} AS kept WHERE kept.id = NEW.id)`
  const keep = `
    ${forget('NEW.id')};
    INSERT INTO ${replaced} SELECT kept.id, kept.record, kept.version FROM ${records} AS kept WHERE kept.id = NEW.id;`
  const own = `NEW.version = ${vouched}` // written by this package, which never replaces a record by inserting one
  return {
    create: `AFTER INSERT ON ${records} WHEN ${own} BEGIN
      INSERT INTO ${changes} (id, time, checked, large, after) VALUES (NEW.id, ${now}, 1, 0, ${kept('NEW.record')});
      UPDATE ${records} SET version = last_insert_rowid() WHERE id = (SELECT NEW.id);
    END`,
    replace: `BEFORE INSERT ON ${records} WHEN NOT ${own} AND ${exists} BEGIN ${keep} END`,
    move: `BEFORE UPDATE OF id ON ${records} WHEN NEW.id <> OLD.id AND ${exists} BEGIN ${keep} END`,
    insert: `AFTER INSERT ON ${records} WHEN NOT ${own} BEGIN
      ${log('NEW.id', 'former.record', 'former.version', 'NEW.record', previous)};
      ${stamp};
      ${forget('NEW.id')};
    END`,
    update: `AFTER UPDATE OF id, record ON ${records} WHEN NEW.id = OLD.id AND (NEW.record <> OLD.record OR NEW.version = ${vouched}) BEGIN
      ${log('NEW.id', 'OLD.record', 'OLD.version', 'NEW.record')};
      ${stamp};
      ${forget('NEW.id')};
    END`,
    rename: `AFTER UPDATE OF id, record ON ${records} WHEN NEW.id <> OLD.id BEGIN
      ${log('OLD.id', 'OLD.record', 'OLD.version', 'NULL')};
      ${log('NEW.id', 'former.record', 'former.version', 'NEW.record', previous)};
      ${stamp};
      ${forget('OLD.id')};
      ${forget('NEW.id')};
    END`,
    delete: `AFTER DELETE ON ${records} BEGIN
      ${log('OLD.id', 'OLD.record', 'OLD.version', 'NULL')};
      ${forget('OLD.id')};
    END`
  }
}

/** Whether an `id` can stand in an address and in a frame as it is: up to 100 characters of visible ASCII without capitals, quotes, brackets and backslashes. */
export const idSql = 'length(id) BETWEEN 1 AND 100 AND id NOT GLOB \'*[^!#-@^-~]*\' AND instr(id, char(0)) = 0'

/** Whether a `record` is one JSON object (RFC 8259) that bears its row's `id` once: as much as a constraint can tell. */
export const recordSql = `CASE WHEN json_valid(record) AND instr(record, char(0)) = 0
  THEN json_type(record) = 'object' AND json_type(record, '$.id') = 'text' AND record ->> '$.id' IS id AND json_type(json_remove(record, '$.id'), '$.id') IS NULL
  ELSE 0 END`

/**
 * Whether a record that another program has written is readable and compact, and any version of SQLite can be sure of it. One of
 * which that can't be said, such as one with an escape in it, is looked at whenever it is read: see `readable.ts`.
 */
export function vouchedSql (id: string, record: string): string {
  const brackets = `length(${record}) - length(replace(replace(${record}, '[', ''), '{', ''))`
  const members = `(SELECT count(*) = count(DISTINCT part.fullkey) AND total(part.type IN ('integer', 'real') AND part.atom NOT BETWEEN -1.797e308 AND 1.797e308) = 0 FROM json_tree(${record}) AS part)`
  const conditions = [
    ...[idSql, recordSql].map(sql => `(${sql.replace(/\bid\b(?!')/g, id).replace(/\brecord\b/g, record)})`),
    `instr(${record}, '\\') = 0`, `${brackets} <= 100`, `json(${record}) = ${record}`, members
  ]
  return conditions.reduceRight((rest, condition) => `CASE WHEN ${condition} THEN ${rest} ELSE 0 END`, '1')
}

import { fittingSql } from './readable.ts'
import { type Tables, suffixes, textOf } from './tables.ts'
import { vouched } from './triggers.ts'

/** What an entry of the log takes: its texts, which need not be read for that, and something for the rest. */
const entrySize = '100 + coalesce(octet_length(before), 0) + coalesce(octet_length(after), 0)'

/** The SQL that is run on a resource's tables, of whose records each has at most `maxRecord` bytes. */
export function statementsOf ({ name, nameText, records, changes, plain }: Tables, maxRecord: number) {
  const fitting = (text: string): string => fittingSql(text, maxRecord)
  const later = `SELECT ${fitting('later.before')} FROM ${changes} AS later INDEXED BY ${plain.large} WHERE later.large = 1 AND later.id = entry.id AND later.position > entry.position ORDER BY later.position LIMIT 1`
  const present = `SELECT ${fitting('kept.record')} FROM ${records} AS kept WHERE kept.id = entry.id`
  return {
    bounds: `SELECT epoch, floor, coalesce((SELECT seq FROM main.sqlite_sequence WHERE name = ${textOf(name + suffixes.changes)}), 0) AS head FROM main.change_streams WHERE resource = ${nameText}`,
    epochs: `SELECT epoch, up_to AS upTo FROM main.change_stream_epochs WHERE resource = ${nameText} ORDER BY up_to`,
    entries: `
      SELECT position, id, time * 4 + checked * 2 + (coalesce(before_version, 0) > 0) AS stamp, ${fitting('before')} AS before,
        CASE WHEN octet_length(after) = 0 THEN coalesce((${later}), (${present})) ELSE ${fitting('after')} END AS after
      FROM ${changes} AS entry WHERE position > ? ORDER BY position LIMIT ?`,
    marks: `SELECT position, id, time FROM ${changes} WHERE position > ? ORDER BY position`,
    old: `SELECT max(position) AS position FROM ${changes} WHERE position > ? AND position <= ? AND time <= ?`,
    size: `SELECT coalesce(sum(${entrySize}), 0) AS size FROM ${changes} WHERE position > ? AND position <= ?`,
    sizes: `SELECT position, ${entrySize} AS size FROM ${changes} WHERE position > ? AND position <= ? ORDER BY position`,
    record: `SELECT id, ${fitting('record')} AS record, version FROM ${records} WHERE id = ?`,
    exists: `SELECT 1 FROM ${records} WHERE id = ?`,
    insert: `INSERT INTO ${records} (id, record, version) VALUES (?, ?, ${vouched}) ON CONFLICT (id) DO UPDATE SET record = ?, version = ${vouched}`, // the row may be there, and be no record,
    update: `UPDATE ${records} SET record = ?, version = ${vouched} WHERE id = ?`,
    remove: `DELETE FROM ${records} WHERE id = ?`,
    forget: `DELETE FROM ${changes} WHERE position <= ?`,
    floor: `UPDATE main.change_streams SET floor = max(floor, ?) WHERE resource = ${nameText}`
  } as const
}

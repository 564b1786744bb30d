import type { Connection } from './driver.ts'
import { type Tables, suffixes } from './tables.ts'

const registryNames = ['change_streams', 'change_stream_epochs']

/** SQLite has tables of its own by these names, in every file. */
const builtIn = /^(jsonb?_each|jsonb?_tree|dbstat|bytecode|tables_used|generate_series|completion|fsdir|pragma_.+)$/

/** @throws {TypeError} where SQLite, or this package, has taken one of the names that a resource's tables would bear */
export function assertUsable ({ name }: Tables): void {
  const refuse = (reason: string): never => { throw new TypeError(`sqlite: the resource name "${name}" can't be used: ${reason}`) }
  for (const table of namesOf(name)) {
    if (table.startsWith('sqlite_')) refuse(`it needs a table "${table}", and names that begin with "sqlite_" are SQLite's own`)
    if (registryNames.includes(table)) refuse(`"${table}" is the table in which resources are registered`)
  }
  if (builtIn.test(name.toLowerCase())) refuse('SQLite has a table-valued function of that name')
}

/** The columns of a resource's tables, in each layout, by what follows its name. */
const columns = {
  [suffixes.records]: ['id,record,version'],
  [suffixes.changes]: ['after,before,before_version,id,position,time', 'after,before,before_version,checked,id,large,position,time'],
  [suffixes.replaced]: ['id,record,version'],
  [suffixes.large]: []
} as const

/** @throws {TypeError} where one of the names is taken by something else: an app's own table, or another resource */
export function assertOurs (connection: Connection, { name }: Tables): void {
  const others = connection.prepare('SELECT resource FROM main.change_streams WHERE resource <> ?').all(name) as { resource: string }[]
  for (const { resource } of others) assertApart(name, resource)
  const found = connection.prepare('SELECT name, type, tbl_name AS belongs FROM main.sqlite_schema WHERE name = ? COLLATE NOCASE AND type <> \'trigger\'')
  const columnsOf = connection.prepare('SELECT group_concat(name) AS names FROM (SELECT name FROM pragma_table_info(?, \'main\') ORDER BY name)')
  for (const [suffix, expected] of Object.entries(columns)) {
    const item = found.get(name + suffix) as { name: string, type: string, belongs: string } | undefined
    if (!item) continue
    const { names } = columnsOf.get(name + suffix) as { names: string | null }
    const ours = item.type === 'table' ? (expected as readonly (string | null)[]).includes(names) : item.type === 'index' && suffix === suffixes.large && item.belongs === `${name}${suffixes.changes}`
    if (!ours || item.name !== name + suffix) throw new TypeError(`it has a ${item.type} "${item.name}" that is not one of ours${expected[0] ? ` (${expected[0]})` : ''}: name the resource differently, or use another file`)
  }
}

/** @throws {TypeError} where two resources would share a table */
function assertApart (name: string, other: string): void {
  if (name.toLowerCase() === other.toLowerCase()) throw new TypeError(`it has a resource "${other}", and SQLite tells no "${name}" from it: name the resource differently, or use another file`)
  const shared = namesOf(other).find(table => namesOf(name).includes(table))
  if (shared !== undefined) throw new TypeError(`it has a resource "${other}", which has "${shared}" for itself, so that "${name}" can't: the table "${shared}" is not one of ours; name the resource differently, or use another file`)
}

/** The names of a resource's tables, as SQLite compares them. */
function namesOf (name: string): string[] {
  return Object.values(suffixes).map(suffix => (name + suffix).toLowerCase())
}

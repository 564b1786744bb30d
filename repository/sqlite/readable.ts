import { endOfString, maxDepth } from '../../protocol/json.ts'
import { isText } from '../storable.ts'

const plainId = /^[!#-@^-~]{1,100}$/

/**
 * The record that a row's text is, on one line, or `null` where it is none: then the row counts as absent. It is a record if
 * it is one JSON object (RFC 8259, no name twice in an object) of at most `most` bytes and 100 levels, bears the row's `id`, and holds
 * nothing that this process could not give to others as it is: numbers that no double holds, U+0000, half a surrogate pair.
 *
 * @param vouched somebody has looked into it before: this process, or the triggers
 */
export function readable (id: string, text: string, vouched: boolean, most: number): string | null {
  if (text === '' || (text.length * 3 > most && Buffer.byteLength(text) > most)) return null
  if (vouched) return text
  const json = plainId.test(id) ? compact(text) : null
  return json !== null && isRecord(id, text, json.members) ? json.text : null
}

/** A column's text for SQL, or `''` where that has more than `most` bytes: what is too large is not brought here. SQLite knows the length without reading it. */
export function fittingSql (column: string, most: number): string {
  return `CASE WHEN octet_length(${column}) > ${most} THEN '' ELSE ${column} END`
}

/** A text without white space between its parts, and how many members its objects have, if it is JSON. */
interface Compact { readonly text: string, readonly members: number }

/** `null` where the text is nested too deep, or ends within a string. Whether it is JSON is for `JSON.parse` to say. */
function compact (text: string): Compact | null {
  let [kept, from, depth, members] = ['', 0, 0, 0]
  for (let at = 0; at < text.length; at++) {
    const unit = text[at]
    if (unit === '"') {
      at = endOfString(text, at)
      if (at < 0) return null
    } else if (unit === '{' || unit === '[') {
      if (++depth > maxDepth) return null
    } else if (unit === '}' || unit === ']') depth--
    else if (unit === ':') members++
    else if (unit === ' ' || unit === '\n' || unit === '\r' || unit === '\t') {
      kept += text.slice(from, at)
      from = at + 1
    }
  }
  return { text: from === 0 ? text : kept + text.slice(from), members }
}

function isRecord (id: string, text: string, members: number): boolean {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return false
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, 'id') && (value as { id: unknown }).id === id && membersOf(value) === members
}

/** The members of all objects in a value, or `NaN` where it can't be kept. */
function membersOf (value: unknown): number {
  if (typeof value === 'string') return isText(value) ? 0 : NaN
  if (typeof value === 'number') return Number.isFinite(value) ? 0 : NaN
  if (typeof value !== 'object' || value === null) return 0
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + membersOf(item), 0)
  return Object.entries(value).reduce((sum, [key, item]) => sum + (isText(key) ? 1 : NaN) + membersOf(item), 0)
}

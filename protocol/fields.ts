import type { Json } from './change.ts'
import { setOwn } from './json.ts'

/** `record` with no properties but `id` and `fields`; the whole of it where `fields` is `null`. */
export function pick (record: Json, fields: readonly string[] | null): Json {
  if (fields === null) return record
  const picked = { id: record.id }
  for (const name of fields) if (Object.hasOwn(record, name)) setOwn(picked, name, record[name])
  return picked
}

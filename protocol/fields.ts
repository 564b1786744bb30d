import type { Json } from './change.ts'

/** `record` with no properties but `id` and `fields`; the whole of it where `fields` is `null`. */
export function pick (record: Json, fields: readonly string[] | null): Json {
  if (fields === null) return record
  const picked: Record<string, unknown> & { id: string } = { id: record.id }
  for (const name of fields) if (Object.hasOwn(record, name)) picked[name] = record[name]
  return picked
}

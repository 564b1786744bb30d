import type { LogEntry } from '../protocol/change.ts'
import type { Op } from './filter.ts'
import type { Cursors, Reader } from './reader.ts'
import { toldOf } from './told.ts'

/** A change and the bytes it has been encoded to, each form once, whoever asks for it. */
export class EncodedChange {
  readonly entry: LogEntry
  readonly #log: Cursors
  #forms: Map<string, Buffer> | undefined

  constructor (entry: LogEntry, log: Cursors) {
    this.entry = entry
    this.#log = log
  }

  get position (): number {
    return this.entry.position
  }

  /** About how much memory it holds, bytes. */
  get size (): number {
    return 300 + 2 * ((this.entry.json?.length ?? 0) + (this.entry.beforeJson?.length ?? 0))
  }

  /** @param key equal for equal arguments */
  form (key: string, reader: Reader, op: Op, fields: readonly string[] | null): Buffer {
    if (fields !== null) return reader.encode(toldOf(this.entry, op, fields), this.#log) // of these there may be any number
    let form = this.#forms?.get(key)
    if (form) return form
    form = reader.encode(toldOf(this.entry, op, fields), this.#log)
    this.#forms ??= new Map()
    this.#forms.set(key, form)
    return form
  }
}

/** The tables of one resource, quoted for SQL. */
export interface Tables {
  /** The name as it is, and as SQL text. */
  readonly name: string
  readonly nameText: string
  /** `id`, `record` (JSON), `version`. */
  readonly records: string
  /** The log. */
  readonly changes: string
  /** Finds those entries of the log by `id` whose `before` is large. */
  readonly large: string
  /** What `INSERT OR REPLACE` is about to replace, which fires no trigger of its own. */
  readonly replaced: string
  /** The same without their schema, which the body of a trigger takes no name of. */
  readonly plain: Readonly<Record<'records' | 'changes' | 'large' | 'replaced', string>>
}

/** What follows the resource's name in the names of its tables, and of the log's index. */
export const suffixes = { records: '', changes: '_changes', replaced: '_replaced', large: '_large' } as const

export function tablesOf (name: string): Tables {
  const [records, changes, replaced, large] = [suffixes.records, suffixes.changes, suffixes.replaced, suffixes.large].map(suffix => nameOf(name + suffix)) as [string, string, string, string]
  return {
    name,
    nameText: textOf(name),
    records: `main.${records}`, // with its schema, so that no temporary table is meant
    changes: `main.${changes}`,
    replaced: `main.${replaced}`,
    large: `main.${large}`,
    plain: { records, changes, replaced, large }
  }
}

/** `name` as SQL's name of a table. */
export function nameOf (name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** `text` as SQL text. */
export function textOf (text: string): string {
  return `'${text.replaceAll('\'', '\'\'')}'`
}

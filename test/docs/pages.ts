import { readFileSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')

export interface Block {
  readonly page: string
  /** The words behind the opening fence. */
  readonly language: string
  readonly file: string | undefined
  readonly text: string
}

export function read (file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

/** The pages whose snippets and links are checked. */
export const pages: readonly string[] = ['README.md', 'PROTOCOL.md', 'CHANGELOG.md', ...readdirSync(join(root, 'docs')).filter(name => name.endsWith('.md')).map(name => `docs/${name}`)]

export function blocksOf (page: string): Block[] {
  return [...read(page).matchAll(/^```(\S*) ?(\S*)\n([\s\S]*?)^```$/gm)].map(([, language = '', file = '', text = '']) => ({ page, language, file: file || undefined, text }))
}

/** The rows of each table of a page that has a column of that name, by column. */
export function rowsOf (page: string, column: string): Record<string, string>[][] {
  const tables = read(page).matchAll(/(?:^\|.*\|\n)+/gm)
  return [...tables].map(([table]) => table.trim().split('\n').map(cells)).filter(([head]) => head?.includes(column)).map(([head = [], , ...rows]) =>
    rows.map(row => Object.fromEntries(head.map((name, index) => [name, row[index] ?? '']))))
}

function cells (line: string): string[] {
  return line.slice(1, -1).split('|').map(cell => cell.trim())
}

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suites, type SuiteName } from '../suites/index.ts'
import type { Environment } from './environment.ts'

/** A suite's raw result, as kept on disk. */
export interface Kept { readonly environment: Environment, readonly minutes: number, readonly result: unknown }

export function keep (folder: string, name: SuiteName, kept: Kept): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${name}.json`), JSON.stringify(kept, null, 1))
}

/** Markdown of one suite. */
export function section (name: SuiteName, { environment, minutes, result }: Kept): string {
  const { date, commit, cpu, cores, memory, kernel, node, pinned, versions, absent } = environment
  const { title, render } = suites[name]
  return `## ${title}

${render(result)}

<sub>${date}, commit ${commit}; ${cpu}, ${cores} cores, ${memory} GB, ${kernel}; Node ${node}; ${Object.entries(versions).map(pair => pair.join(' ')).join(', ')}${absent.length > 0 ? `; absent: ${absent.join(', ')}` : ''}; ${pinned ? 'server on a core of its own' : 'processes not bound to cores'}; took ${minutes.toFixed(1)} minutes.</sub>`
}

/** Another version beside this one is for those who change it. */
const published = (Object.keys(suites) as SuiteName[]).filter(name => name !== 'versions')

/** Writes the page of all suites that have been run in full, and its charts. Of what has not been run here the page keeps what it says. */
export function publish (raw: string, docs: string): void {
  mkdirSync(docs, { recursive: true })
  const page = join(docs, 'benchmarks.md')
  const before = existsSync(page) ? readFileSync(page, 'utf8').split(/^(?=## )/m) : []
  const sections: string[] = []
  for (const name of published) {
    const file = join(raw, `${name}.json`)
    if (!existsSync(file)) {
      sections.push(...before.filter(section => section.startsWith(`## ${suites[name].title}\n`)).map(section => section.trim()))
      continue
    }
    const kept = JSON.parse(readFileSync(file, 'utf8')) as Kept
    sections.push(section(name, kept))
    for (const [svg, text] of Object.entries(suites[name].charts?.(kept.result) ?? {})) writeFileSync(join(docs, svg), text)
  }
  const preface = readFileSync(new URL('../preface.md', import.meta.url), 'utf8')
  writeFileSync(page, `${[preface.trim(), ...sections].join('\n\n')}\n`)
}

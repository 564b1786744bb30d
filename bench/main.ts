import { mkdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { environment } from './runner/environment.ts'
import { Load } from './runner/load.ts'
import { type PeerName, peers } from './runner/peers.ts'
import { keep, publish, section } from './runner/report.ts'
import type { Context } from './runner/suite.ts'
import { type SuiteName, suites, usual } from './suites/index.ts'

const help = `npm run bench -- [suites] [--quick] [--peers names] [--before folder] [--render]

suites   ${Object.keys(suites).join(', ')}; all but the long ones by default
--quick  small and short, to see whether all works; writes no documentation
--peers  only these: ${Object.keys(peers).join(',')}; writes no documentation
--before for versions: the folder of another version, a checkout after npm ci
--render writes docs/benchmarks.md anew from the last raw results

A run with a fault, such as a lost delivery, ends with an error and writes no documentation.`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, peers: { type: 'string' }, before: { type: 'string' }, render: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } }
})
const only = values.peers?.split(',') ?? null
const unknown = [...positionals.filter(name => !Object.hasOwn(suites, name)), ...only?.filter(name => !Object.hasOwn(peers, name)) ?? []]
const here = fileURLToPath(new URL('.', import.meta.url))
const raw = join(here, '.raw')
const docs = join(here, '../docs')

if (values.help || unknown.length > 0) {
  console.log(help)
  process.exitCode = values.help ? 0 : 1
} else if (values.render) publish(raw, docs)
else await run(positionals.length > 0 ? positionals as SuiteName[] : usual)

async function run (names: readonly SuiteName[]): Promise<void> {
  const partial = values.quick || only !== null
  const faults: string[] = []
  const folder = join(raw, 'scratch')
  for (const name of names) {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const begun = performance.now()
    const readers = new Load('readers')
    const posters = new Load('posters')
    const context: Context = {
      quick: values.quick,
      only: only as PeerName[] | null,
      readers,
      posters,
      folder,
      before: values.before === undefined ? null : resolve(process.env['INIT_CWD'] ?? '', values.before),
      progress: text => console.error(`${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s  ${text}`),
      fault: text => {
        faults.push(text)
        console.error(`FAULT: ${text}`)
      }
    }
    try {
      const result = await suites[name].run(context)
      const kept = { environment: environment(), minutes: (performance.now() - begun) / 60_000, result }
      keep(partial ? join(raw, 'partial') : raw, name, kept)
      console.log(`${section(name, kept)}\n`)
    } catch (error) {
      context.fault(`${name}: ${error instanceof Error ? error.stack : String(error)}`)
    } finally {
      readers.stop()
      posters.stop()
    }
  }
  rmSync(folder, { recursive: true, force: true })
  if (faults.length === 0) {
    if (!partial) publish(raw, docs)
    return
  }
  console.error(`\n${faults.length} faults:\n${faults.join('\n')}`)
  process.exitCode = 1
}

import { parseArgs } from 'node:util'
import { described, families, run } from './run.ts'
import { worlds } from './ground.ts'

const help = `npm run fuzz -- [--inputs number] [--only families] [--world names] [--input number] [--findings number]

--inputs    how many, 200,000 by default; INPUTS says the same
--only      families: ${families.map(({ name }) => name).join(', ')}
--world     where: ${worlds.map(({ name }) => name).join(', ')}
--input     this one alone, of the one family in --only
--findings  how many different ones end the run, 10 by default

SEED makes the same inputs again. It ends with 1 if anything was found.`

const { values } = parseArgs({ options: { inputs: { type: 'string' }, only: { type: 'string' }, world: { type: 'string' }, input: { type: 'string' }, findings: { type: 'string' }, help: { type: 'boolean', short: 'h' } } })
if (values.help) console.log(help)
else {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  const begun = performance.now()
  const progress = (text: string): void => console.log(`${((performance.now() - begun) / 1000).toFixed(0).padStart(5)} s  ${text}`)
  console.log(`SEED=${seed}`)
  const { played, found } = await run({
    seed,
    inputs: Number(values.inputs ?? process.env['INPUTS'] ?? 200_000),
    mostFindings: Number(values.findings ?? 10),
    progress,
    ...(values.only !== undefined && { only: values.only.split(',') }),
    ...(values.world !== undefined && { worlds: values.world.split(',') }),
    ...(values.input !== undefined && { input: Number(values.input) })
  })
  progress([...played].map(([name, count]) => `${name} ${count}`).join(', ') || 'one input')
  if (found.length > 0) {
    console.log(`\n${found.length} findings, SEED=${seed}\n\n${found.map(described).join('\n\n')}`)
    process.exitCode = 1
  }
}

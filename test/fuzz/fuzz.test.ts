import t from 'tap'
import { worlds } from './ground.ts'
import { described, run } from './run.ts'

const inputs = Number(process.env['INPUTS'] ?? 600)
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/*
 * npm run fuzz -- --inputs 5000000     plays more of them; --help tells the rest
 * SEED=1234 npx tap test/fuzz          plays those again that have failed
 */
for (const { name } of worlds) {
  const count = Math.ceil(inputs / worlds.length)
  t.test(`nobody is hurt by ${count} hostile inputs, over ${name}`, { timeout: 60_000 + inputs * 50 }, async t => {
    t.comment(`SEED=${seed}`)
    const { found } = await run({ seed, inputs: count, worlds: [name] })
    t.same(found.map(described), [])
  })
}

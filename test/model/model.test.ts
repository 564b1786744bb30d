import t from 'tap'
import { playAll, ways } from './run.ts'

const histories = Number(process.env['HISTORIES'] ?? 300)
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/*
 * HISTORIES=20000 npx tap test/model/model.test.ts    plays more of them
 * SEED=1234 HISTORIES=1 npx tap …                     plays one again that has failed
 */
for (const { store, way, share } of ways) {
  const count = Math.ceil(histories * share)
  t.test(`every subscriber has exactly what the model says, in ${count} random histories, ${way} over ${store}`, { timeout: 10_000 + histories * 500 }, async t => {
    t.comment(`from SEED=${seed} on`)
    await playAll(count, seed, store, way)
    t.pass(`${count} histories`)
  })
}

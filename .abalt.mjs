// alternates variants in one process: each is {name, make(): async()=>run one batch of 64}
import { rmSync } from 'node:fs'
const dists = process.argv.slice(2)
const variants = []
const body = { firstName: 'Ada', lastName: 'Lovelace123', age: 36, job: 't=00000000000000000000' }
for (const d of dists) {
  const [name, dist, kind] = d.split(':')
  const { default: Fastify } = await import('/work/main/node_modules/fastify/fastify.js')
  const plugin = (await import(`${dist}/plugin/index.js`)).default
  const { memory } = await import(`${dist}/plugin/index.js`)
  const { sqlite } = await import(`${dist}/repository/sqlite.js`)
  const file = `/tmp/alt-${variants.length}.db`; for (const f of ['', '-wal', '-shm']) rmSync(file + f, { force: true })
  const app = Fastify({ logger: false })
  await app.register(plugin, { repository: kind.startsWith('mem') ? memory() : sqlite({ file }) })
  await app.ready()
  const repo = app.changeStreams.people
  variants.push({
    name: name + '/' + kind,
    t: [],
    run: kind.endsWith('inject')
      ? () => Promise.all(Array.from({ length: 64 }, () => app.inject({ method: 'POST', url: '/people', payload: body })))
      : () => Promise.all(Array.from({ length: 64 }, () => repo.create(body)))
  })
}
for (let r = 0; r < 60; r++) for (const v of variants) { const c = process.cpuUsage(); for (let k = 0; k < 20; k++) await v.run(); const u = process.cpuUsage(c); if (r > 10) v.t.push((u.user + u.system) / 20 / 64) }
for (const v of variants) { v.t.sort((a, b) => a - b); console.log(v.name.padEnd(24), 'p25', v.t[v.t.length >> 2].toFixed(1), 'p50', v.t[v.t.length >> 1].toFixed(1)) }
process.exit(0)

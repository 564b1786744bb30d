import { sqlite } from '/work/main/dist/repository/sqlite.js'
import { Resource } from '/work/main/dist/repository/resource.js'
import { Repository } from '/work/main/dist/repository/repository.js'
import { Person } from '/work/main/dist/plugin/options.js'
import { rmSync, statSync } from 'node:fs'
for (const f of ['', '-wal', '-shm']) rmSync('/tmp/t.db' + f, { force: true })
const r = new Resource({ name: 'people', noun: 'p', schema: Person })
const repo = new Repository(r, await sqlite({ file: '/tmp/t.db' })(r), console.error)
const body = { firstName: 'Ada', lastName: 'Lovelace123', age: 36, job: 't=00000000000000000000' }
for (let i = 0; i < 10; i++) { const c = process.cpuUsage(); const t = performance.now(); for (let k = 0; k < 100; k++) await Promise.all(Array.from({ length: 64 }, () => repo.create(body))); const u = process.cpuUsage(c); console.log(((performance.now() - t) * 1e3 / 6400).toFixed(1), ((u.user + u.system) / 6400).toFixed(1), statSync('/tmp/t.db-wal').size >> 10) }

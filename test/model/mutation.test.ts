import { execFile } from 'node:child_process'
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'

const root = new URL('../../', import.meta.url).pathname
const folders = ['plugin', 'protocol', 'repository', 'routes', 'stream', 'test/model']
const histories = 150

/** Faults that the model must find, each in one place of the source. */
const mutations = [
  { name: 'a record that leaves is not told', file: 'stream/filter.ts', from: "return entry.json === null ? 'delete' : 'leave'", to: "return entry.json === null ? 'delete' : null" },
  { name: 'a change is told twice where the log meets the live end', file: 'stream/search.ts', from: '> position) high', to: '>= position) high' },
  { name: 'who catches up goes live one change too early', file: 'stream/subscription.ts', from: '(change?.at ?? this.#hub.position)', to: '(change?.at ?? this.#hub.position - 1)' },
  { name: 'a trimmed log is read as if it were whole', file: 'stream/pages.ts', from: 'if (position < floor) throw', to: 'if (position < 0 * floor) throw' },
  { name: 'a filter takes effect too early', file: 'stream/subscription.ts', from: 'at: this.#hub.position, filter', to: 'at: Math.max(0, this.#hub.position - 1), filter' },
  { name: 'the difference between filters is left out', file: 'stream/subscription.ts', from: 'snapshotOfBoth(this.#hub.log, former, filter)', to: 'snapshotOfBoth(this.#hub.log, filter, filter)' }
] as const

for (const { name, file, from, to } of mutations) {
  t.test(`the model finds it if ${name}`, { timeout: 100_000 }, async t => {
    const copy = t.testdir()
    for (const folder of folders) cpSync(root + folder, `${copy}/${folder}`, { recursive: true })
    cpSync(`${root}package.json`, `${copy}/package.json`)
    symlinkSync(`${root}node_modules`, `${copy}/node_modules`)
    const parts = readFileSync(`${copy}/${file}`, 'utf8').split(from)
    t.equal(parts.length, 2, `${file} has it in one place: ${from}`)
    writeFileSync(`${copy}/${file}`, parts.join(to))
    const { failed, output } = await run(copy)
    t.ok(failed, 'the model fails')
    t.match(output, /SEED=\d+/, 'and says which history shows it')
  })
}

async function run (folder: string): Promise<{ failed: boolean, output: string }> {
  return await new Promise(resolve => {
    execFile(process.execPath, ['--import=tsx', 'test/model/main.ts', String(histories), '1'], { cwd: folder, timeout: 60_000, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      resolve({ failed: error !== null, output: stdout + stderr })
    })
  })
}

/** Packs the package, installs it beside each end of its peers' ranges, and runs `smoke.js` there. */
import { readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { emptyFolder, install, output, pack, remove, root } from '../consumer.ts'

const { peerDependencies } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { peerDependencies: Record<string, string> }

/** The lowest version of a range; it is the first that the range names. */
function lowest (range: string): string {
  const [version = ''] = /\d+\.\d+\.\d+/.exec(range) ?? []
  return version
}

const ends: Readonly<Record<string, (range: string) => string>> = { lowest, newest: range => range }
const folder = emptyFolder()
try {
  const { tarball } = await pack(folder)
  const drivers = isBuiltin('node:sqlite') ? ['node', 'better-sqlite3'] : ['better-sqlite3']
  const apps = await Promise.all(Object.entries(ends).map(async ([end, versionOf]) => { // at once, since better-sqlite3 may have to be compiled
    const peers = Object.entries(peerDependencies).map(([name, range]) => `${name}@${versionOf(range)}`)
    return await install(folder, end, [tarball, ...peers, 'ws@8'])
  }))
  const smoke = readFileSync(`${root}/test/peers/smoke.js`, 'utf8')
  for (const app of apps) {
    for (const driver of drivers) console.log((await output(app, process.execPath, '--input-type=module', '--eval', smoke, driver)).trim())
  }
} finally {
  remove(folder)
}

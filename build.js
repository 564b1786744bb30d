import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const dist = new URL('dist/', import.meta.url)
rmSync(dist, { recursive: true, force: true }) // what a source that is gone has left would be packed
execFileSync(process.execPath, [fileURLToPath(import.meta.resolve('typescript/bin/tsc'))], { cwd: import.meta.dirname, stdio: 'inherit' })

// tsc names the compiled files in its JavaScript, but the sources in its declarations.
for (const name of readdirSync(dist, { recursive: true })) {
  if (!name.endsWith('.d.ts')) continue
  const file = new URL(name.replaceAll('\\', '/'), dist)
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/(['"])(\.{1,2}\/[^'"]+)\.ts\1/g, '$1$2.js$1'))
}

import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

export const root = fileURLToPath(new URL('..', import.meta.url))

/** The environment without what npm and the test runner tell their children; `node` is this one. */
export const plainEnv: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_|^_?tap|^(node_options|init_cwd|port|host|database|log_level)$/i.test(name))),
  PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}`
}

/** A folder outside of the project, from which none of its packages is seen. */
export function emptyFolder (): string {
  return mkdtempSync(`${realpathSync(tmpdir())}/fastify-change-stream-`)
}

/** What a command prints; it fails as the command does. */
export async function output (cwd: string, command: string, ...args: string[]): Promise<string> {
  const { stdout } = await run(command, args, { cwd, env: plainEnv, maxBuffer: 2 ** 24 })
  return stdout
}

/** How a command ends, and what it prints. */
export async function outcome (cwd: string, command: string, ...args: string[]): Promise<{ code: number, text: string }> {
  return await new Promise(resolve => {
    const child = execFile(command, args, { cwd, env: plainEnv }, (_, stdout, stderr) => resolve({ code: child.exitCode ?? -1, text: stdout + stderr }))
  })
}

const notCopied = ['node_modules', 'dist', '.git', '.tap', '.ci', 'test', 'bench']

/** Packs a clean copy of the project into `folder`: `npm pack` builds it. */
export async function pack (folder: string): Promise<{ copy: string, tarball: string }> {
  const copy = `${folder}/copy`
  cpSync(root, copy, { recursive: true, filter: path => !notCopied.includes(basename(path)) && !/\.(db|tgz)/.test(path) })
  mkdirSync(`${copy}/test`)
  writeFileSync(`${copy}/test/not-packed.ts`, '')
  symlinkSync(realpathSync(`${root}/node_modules`), `${copy}/node_modules`)
  const name = (await output(copy, 'npm', 'pack', '--silent', '--pack-destination', folder)).trim().split('\n').at(-1)
  return { copy, tarball: `${folder}/${name}` }
}

/** Installs packages into a folder of its own, `name` of `folder`. */
export async function install (folder: string, name: string, packages: readonly string[], ...flags: string[]): Promise<string> {
  const app = `${folder}/${name}`
  mkdirSync(app)
  writeFileSync(`${app}/package.json`, '{ "private": true, "type": "module", "allowScripts": { "better-sqlite3": true } }')
  await output(app, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', ...flags, ...packages)
  return app
}

export function remove (folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}

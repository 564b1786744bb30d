import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Test } from 'tap'

const main = new URL('../../bin/main.ts', import.meta.url).pathname
const tsx = import.meta.resolve('tsx')

export interface Run {
  readonly child: ChildProcess
  /** The exit code and all that was printed, when the process has ended. */
  ended (): Promise<{ code: number | null, stdout: string, stderr: string }>
  /** What was printed so far. */
  stdout (): string
  /** Resolves with the match when it has been printed; fails if the process ends before. */
  printed (pattern: RegExp): Promise<RegExpExecArray>
}

/** Follows what a process prints; it, or the group of a process that leads one, is killed when the test ends. */
export function follow (t: Test, child: ChildProcess, who: 'process' | 'group' = 'process'): Run {
  const printed = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) child[name]?.on('data', chunk => { printed[name] += chunk })
  const closed = once(child, 'close')
  t.teardown(async () => {
    try {
      process.kill(who === 'group' ? -(child.pid ?? 0) : child.pid ?? 0, 'SIGKILL')
    } catch {} // it has ended
    await closed
  })
  return {
    child,
    stdout: () => printed.stdout,
    ended: async () => {
      await closed
      return { code: child.exitCode, ...printed }
    },
    printed: async pattern => {
      for (;;) {
        const match = pattern.exec(printed.stdout)
        if (match) return match
        if (child.exitCode !== null || !child.stdout) throw new Error(`it ended: ${printed.stderr}`)
        await Promise.race([once(child.stdout, 'data'), closed])
      }
    }
  }
}

/** The stand-alone server as a process of its own, in a folder and with an environment of its own. */
export function start (t: Test, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}, cwd = t.testdir()): Run {
  const { PORT, HOST, DATABASE, LOG_LEVEL, NODE_OPTIONS, ...own } = process.env
  return follow(t, spawn(process.execPath, ['--disable-warning=ExperimentalWarning', `--import=${tsx}`, main, ...args], { cwd, env: { ...own, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }))
}

/** The address that a server has printed, when it listens. */
export async function address (run: Run): Promise<string> {
  return (await run.printed(/People at (http:\S+)\/people/))[1] ?? ''
}

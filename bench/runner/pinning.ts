import { type ChildProcess, type StdioOptions, execFileSync, spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'

function works (): boolean {
  try {
    execFileSync('taskset', ['-c', '0', 'true'], { stdio: 'ignore' })
    return availableParallelism() > 1
  } catch {
    return false
  }
}

/** Whether processes can be bound to processors here. */
export const canPin = works()

const last = availableParallelism() - 1

/** Which processor each process is bound to; where there are only two, both load processes share one. */
export const cores = { server: 0, readers: Math.min(1, last), posters: Math.min(2, last) } as const

export type Role = keyof typeof cores

/** Starts `command` on its processor, with the folder of the benchmarks as its own. */
export function start (role: Role, command: readonly string[], { env = {}, stdio }: { env?: Readonly<Record<string, string>>, stdio: StdioOptions }): ChildProcess {
  const [program = '', ...parameters] = canPin ? ['taskset', '-c', String(cores[role]), ...command] : command
  return spawn(program, parameters, { cwd: new URL('..', import.meta.url), env: { ...process.env, ...env }, stdio })
}

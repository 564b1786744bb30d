import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type Usage, usageOf } from './usage.ts'
import { start } from './pinning.ts'

const sampling = 20 // milliseconds between two looks at the memory

/** A server under test, in a process of its own. */
export class Server {
  readonly port: number
  readonly #process: ChildProcess
  readonly #pid: number

  private constructor (child: ChildProcess, port: number) {
    this.#process = child
    this.#pid = child.pid as number
    this.port = port
  }

  static async start (command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Server> {
    const child = start('server', command, { env: { NODE_ENV: 'production', ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
    return new Server(child, Number(await firstLine(child, command)))
  }

  usage (): Usage {
    return usageOf(this.#pid)
  }

  /** Runs `work`, and tells what it cost the server. `peak`: the most memory seen meanwhile, bytes. */
  async during<T> (work: () => Promise<T>): Promise<{ result: T, cpu: number, memory: number, peak: number }> {
    const before = this.usage()
    let peak = before.memory
    const look = setInterval(() => { peak = Math.max(peak, this.usage().memory) }, sampling)
    try {
      const result = await work()
      const after = this.usage()
      return { result, cpu: after.cpu - before.cpu, memory: after.memory - before.memory, peak: Math.max(peak, after.memory) }
    } finally {
      clearInterval(look)
    }
  }

  async stop (): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await exited
  }
}

/** Runs a program on the server's processor and takes the JSON that it prints. */
export async function measured<T> (command: readonly string[], env: Readonly<Record<string, string>>): Promise<T> {
  const child = start('server', command, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  return JSON.parse(await firstLine(child, command)) as T
}

async function firstLine (child: ChildProcess, command: readonly string[]): Promise<string> {
  if (!child.stdout) throw new TypeError('stdout is not piped')
  const lines = createInterface({ input: child.stdout })
  return await new Promise((resolve, reject) => {
    child.on('error', reject).on('exit', code => reject(new Error(`${command.join(' ')} ended with ${code}`)))
    lines.once('line', resolve)
  })
}

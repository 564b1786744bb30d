import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** `app`: the plugin with several resources in an app; `alone`: the stand-alone server. */
export type Kind = 'app' | 'alone'

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const tsx = import.meta.resolve('tsx')
const heap = 256 // megabytes
const exitWithin = 8000 // milliseconds

/** What a row is told of, once, that another program has written. */
const unreadable = /is no record, and counts as absent/

/** A server under test, a process of its own with a limited heap. */
export class ServerProcess {
  port = 0
  /** Lines of stderr, and log lines of level `error` and above, since they were last taken. */
  readonly complaints: string[] = []
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  #asked = 0

  private constructor (child: ChildProcess) {
    this.#child = child
    this.#exited = once(child, 'exit')
    for (const name of ['stdout', 'stderr'] as const) {
      const input = child[name]
      if (input) createInterface({ input }).on('line', line => this.#hear(name, line))
    }
  }

  /** @param file a SQLite file; without one records are kept in memory */
  static async start (kind: Kind, file: string | null): Promise<ServerProcess> {
    const args = kind === 'app' ? [path('server.ts'), ...file ? [file] : []] : [path('../../bin/main.ts'), '--port', '0', '--log-level', 'error', ...file ? ['--database', file] : ['--database', ':memory:']]
    const { NODE_OPTIONS, DATABASE, PORT, HOST, LOG_LEVEL, ...env } = process.env
    const child = spawn(process.execPath, [`--max-old-space-size=${heap}`, '--expose-gc', '--disable-warning=ExperimentalWarning', `--import=${tsx}`, `--import=${path('probe.ts')}`, ...args], {
      env: { ...env, NODE_ENV: 'production' }, stdio: ['ignore', 'pipe', 'pipe', 'ipc']
    })
    const server = new ServerProcess(child)
    while (server.port === 0) {
      if (!server.lives) throw new Error(`the server under test did not start: ${server.complaints.join('\n')}`)
      await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), server.#exited])
    }
    server.complaints.length = 0
    return server
  }

  get lives (): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Bytes in use after a collection; `null` if the process has ended or does not answer. */
  async memory (): Promise<number | null> {
    const id = ++this.#asked
    if (!this.lives) return null
    const answered = new Promise<number>(resolve => {
      const hear = (answer: { id: number, memory: number }): void => {
        if (answer.id !== id) return
        this.#child.off('message', hear)
        resolve(answer.memory)
      }
      this.#child.on('message', hear)
    })
    this.#child.send(id, () => {})
    return await Promise.race([answered, this.#exited.then(() => null), delay(20_000, null, { ref: false })])
  }

  /** How many sockets and how many other descriptors are open; nothing where there is no `/proc`. */
  descriptors (): { sockets: number, others: number } | null {
    const folder = `/proc/${this.#child.pid}/fd`
    try {
      const targets = readdirSync(folder).map(name => {
        try {
          return readlinkSync(`${folder}/${name}`)
        } catch {
          return ''
        }
      }).filter(target => target !== '')
      const sockets = targets.filter(target => target.startsWith('socket:')).length
      return { sockets, others: targets.length - sockets }
    } catch {
      return null
    }
  }

  /** Asks it to end; tells the exit code, or `null` if it had to be killed. */
  async stop (): Promise<number | null> {
    if (this.lives) this.#child.kill('SIGTERM')
    await Promise.race([this.#exited, delay(exitWithin, undefined, { ref: false })])
    if (this.lives) {
      this.kill()
      await this.#exited
    }
    return this.#child.exitCode
  }

  kill (): void {
    this.#child.kill('SIGKILL')
  }

  /** The first address on stdout is the server's. A log line, or anything on stderr, is a complaint. */
  #hear (name: 'stdout' | 'stderr', line: string): void {
    const port = this.port === 0 && name === 'stdout' ? /http:\/\/[^\s/]*:(\d+)/.exec(line)?.[1] : undefined
    if (port) this.port = Number(port)
    else if (name === 'stderr' ? line.trim() !== '' : line.startsWith('{"level"') && !unreadable.test(line)) this.complaints.push(line)
  }
}

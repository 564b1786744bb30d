import { type ChildProcess, spawn } from 'node:child_process'
import { type Hash, createHash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { type Person, request } from '../helper.ts'

export const root = resolve(import.meta.dirname, '../..')
export const example = (name: string): string => join(root, 'examples', name)
export const tsx = `--import=${import.meta.resolve('tsx')}`

/** A child that is stopped with the test, and the lines that it prints. */
export function start (t: Test, args: string[], options: { cwd?: string, env?: Record<string, string> } = {}): { child: ChildProcess, lines: string[] } {
  const child = spawn(process.execPath, [tsx, '--no-warnings', ...args], { cwd: options.cwd ?? root, env: { ...process.env, ...options.env }, stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: string[] = []
  createInterface(child.stdout).on('line', line => lines.push(line))
  return { child, lines }
}

/** Waits until the test times out: on a busy machine a process takes its time to start. */
export async function eventually (condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!await condition()) await delay(10)
}

export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Says which people these are, in few characters; a follower runs it as well. */
function digest (people: Person[], hash: Hash): string {
  return hash.update(JSON.stringify(people.sort((a, b) => a.id < b.id ? -1 : 1))).digest('hex')
}

/** Runs `follow` of an example in a process of its own, whose map must come to equal the server's list. */
export function following (t: Test, name: string, address: string): { holds: (people: Person[]) => Promise<void>, follows: (origin: string) => Promise<void> } {
  const script = `
    import { createHash } from 'node:crypto'
    import { EventSource } from ${JSON.stringify(import.meta.resolve('eventsource'))}
    globalThis.EventSource = EventSource // Node has none by default
    import { follow } from ${JSON.stringify(example(name))}
    const people = new Map()
    follow(${JSON.stringify(address)}, people)
    const digest = ${digest}
    setInterval(() => console.log(digest([...people.values()], createHash('sha256'))), 100)`
  const { lines } = start(t, ['--experimental-websocket', '--input-type=module', '-e', script])
  const holds = async (expected: Person[]): Promise<void> => {
    const wanted = digest(expected, createHash('sha256'))
    await eventually(() => lines.at(-1) === wanted)
  }
  return {
    holds,
    follows: async origin => {
      const { body } = await request<Person[]>(`${origin}/people?limit=1000`, 'GET', undefined, { connection: 'close' })
      await holds(body)
      t.ok(body.length > 0)
    }
  }
}

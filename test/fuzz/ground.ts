import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { findDriver } from '../../repository/sqlite/driver.ts'
import { exchange } from './exchange.ts'
import { Finding, shown } from './finding.ts'
import type { Target } from './input.ts'
import { Polite } from './polite.ts'
import { type Kind, ServerProcess } from './process.ts'
import { head } from './requests.ts'
import { type Fuzzed, ids, resources } from './resources.ts'
import { Random } from '../model/random.ts'

/** Where inputs are played: which server, and what it keeps records in. */
export interface World { readonly name: string, readonly kind: Kind, readonly store: 'memory' | 'sqlite' }

export const worlds: readonly World[] = [
  { name: 'sqlite', kind: 'app', store: 'sqlite' },
  { name: 'memory', kind: 'app', store: 'memory' },
  { name: 'alone', kind: 'alone', store: 'sqlite' }
]

const allowance = 40e6 // bytes: caches, and what a collection leaves for the next
const perWritten = 12 // bytes in memory() for a byte written: records and log, parsed and as text
const returnWithin = 3000 // milliseconds: until sockets must have been given back
const otherDescriptors = 8 // files that SQLite opens when it needs them

/** A server that has been filled, its database beside it, and the polite clients of its resources. */
export class Ground {
  readonly server: ServerProcess
  readonly target: Target
  readonly #polite: readonly Polite[]
  readonly #close: () => void
  readonly #descriptors: ReturnType<ServerProcess['descriptors']>
  readonly #memory: number

  private constructor (server: ServerProcess, target: Target, polite: readonly Polite[], memory: number, close: () => void) {
    this.server = server
    this.target = target
    this.#polite = polite
    this.#descriptors = server.descriptors()
    this.#memory = memory
    this.#close = close
  }

  static async open ({ kind, store }: World): Promise<Ground> {
    const folder = mkdtempSync(join(tmpdir(), 'fuzz-'))
    const file = store === 'sqlite' ? join(folder, 'fuzz.db') : null
    const server = await ServerProcess.start(kind, file)
    const fuzzed = kind === 'alone' ? [resources.people] : Object.values(resources)
    const epochs = new Map<string, string>()
    for (const resource of fuzzed) epochs.set(resource.name, await fill(server.port, resource))
    const database = file === null ? null : (await findDriver(undefined))(file)
    const polite = await Promise.all(fuzzed.map(resource => Polite.join(resource, server.port)))
    return new Ground(server, { port: server.port, resources: fuzzed, epochs, database, written: { bytes: 0 } }, polite, await server.memory() ?? 0, () => {
      database?.close()
      rmSync(folder, { recursive: true, force: true })
    })
  }

  /** @throws {Finding} where something is wrong with the server or with a polite client, once the inputs so far are over */
  async judge (): Promise<void> {
    try {
      for (const polite of this.#polite) polite.check()
      await this.#judgeDescriptors()
    } catch (error) {
      await delay(200) // for an end that is on its way: all else comes of that
      if (this.server.lives) throw error
    }
    if (this.server.complaints.some(line => !line.startsWith('{'))) await delay(200) // for the end that it may announce
    if (!this.server.lives) throw crash(this.server)
    const [complaint] = this.server.complaints.splice(0)
    if (complaint !== undefined) throw complained(complaint)
  }

  /** @throws {Finding} where it does not come back to the memory that it had */
  async judgeMemory (): Promise<void> {
    const memory = await this.server.memory()
    if (!this.server.lives) throw crash(this.server)
    if (memory === null) throw new Finding('the process does not answer')
    const grown = memory - this.#memory
    const held = this.target.database ? 0 : this.target.written.bytes * perWritten
    if (grown > allowance + held) throw new Finding('memory is not given back', `${Math.round(grown / 1e6)} MB more than at first, where ${Math.round((allowance + held) / 1e6)} are allowed`)
  }

  /** Lets the polite clients compare what they have, and the server end. */
  async end (): Promise<void> {
    try {
      for (const polite of this.#polite) await polite.settle()
      await this.judge()
      for (const polite of this.#polite) polite.leave()
      const code = await this.server.stop()
      if (code !== 0) throw new Finding('the server does not end by itself when it is asked to', `exit code ${code}`)
      const [complaint] = this.server.complaints
      if (complaint !== undefined) throw complained(complaint)
    } finally {
      await this.abandon()
    }
  }

  async abandon (): Promise<void> {
    for (const polite of this.#polite) polite.leave()
    this.server.kill()
    this.#close()
  }

  async #judgeDescriptors (): Promise<void> {
    const before = this.#descriptors
    if (!before) return
    for (const deadline = performance.now() + returnWithin; ; await delay(5)) {
      const now = this.server.descriptors()
      if (!now || (now.sockets <= before.sockets && now.others <= before.others + otherDescriptors)) return
      if (performance.now() > deadline) throw new Finding('descriptors are not given back', `${now.sockets} sockets and ${now.others} others, at first ${before.sockets} and ${before.others}`)
    }
  }
}

/** What a log line or a line of stderr is about, in words that are the same each time. */
function complained (line: string): Finding {
  try {
    const { msg, err } = JSON.parse(line) as { msg?: string, err?: { message?: string, stack?: string } }
    const place = /at .*?\(?([\w./-]*\/(?:plugin|routes|repository|stream|protocol|bin)\/[\w./-]+:\d+)/.exec(err?.stack ?? '')?.[1]?.replace(/^.*?\/((?:plugin|routes|repository|stream|protocol|bin)\/)/, '$1')
    return new Finding(`a fault was logged: ${msg}, ${steady(err?.message ?? '')}, ${place}`, shown(err?.stack ?? line, 1200))
  } catch {
    return new Finding(`a line on stderr: ${steady(line)}`, shown(line))
  }
}

function steady (text: string): string {
  return shown(text.replace(/"[^"]*"/g, '"…"').replace(/[0-9a-f-]{20,}/g, '…').replace(/\d+/g, 'n'), 120)
}

function crash (server: ServerProcess): Finding {
  const lines = server.complaints.filter(line => !line.startsWith('{'))
  const cause = lines.find(line => /^\w*Error\b|FATAL|Assertion/.test(line)) ?? lines[0] ?? ''
  const place = lines.find(line => /^\s+at .*(plugin|routes|repository|stream|protocol)\//.test(line))?.trim().replace(/file:\/\/.*?\/((?:plugin|routes|repository|stream|protocol)\/)/, '$1') ?? ''
  return new Finding(`the process has ended: ${steady(cause)} ${place}`, lines.slice(0, 12).join(' | '))
}

/** Saves the records that inputs take for known, and tells the epoch of the log. */
async function fill (port: number, resource: Fuzzed): Promise<string> {
  const random = new Random(1)
  for (const id of ids) {
    for (let status = 0; status !== 201;) { // a record may hold what can't be stored
      const json = Buffer.from(JSON.stringify({ ...resource.record(random) }))
      const start = head('PUT', `${resource.path}/${id}`, [['If-None-Match', '*'], ['Content-Type', 'application/json'], ['Content-Length', String(json.length)]])
      const { answers } = await exchange({ port, pieces: [start, json], until: 1 })
      status = answers[0]?.status ?? 0
      if (status !== 201 && status !== 400) throw new Error(`the server under test could not be filled: ${status} ${answers[0]?.body}`)
    }
  }
  const { answers } = await exchange({ port, pieces: [head('GET', resource.updates, [['Accept', 'application/json']])], until: 1 })
  return (JSON.parse(answers[0]?.body ?? '{}') as { cursor: string }).cursor.split('.')[0] ?? ''
}

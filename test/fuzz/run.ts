import { Random } from '../model/random.ts'
import { Finding } from './finding.ts'
import { frames } from './frames.ts'
import { Ground, type World, worlds } from './ground.ts'
import type { Family, Input, Target } from './input.ts'
import { messages, readers } from './messages.ts'
import { malformed, rest } from './rest.ts'
import { rows } from './rows.ts'
import { upgrade } from './upgrades.ts'

export const families: readonly Family[] = [rest, malformed, upgrade, frames, messages, readers, rows]

export interface RunOptions {
  readonly seed: number
  readonly inputs: number
  /** Names of families and of worlds; all by default. */
  readonly only?: readonly string[]
  readonly worlds?: readonly string[]
  /** A single input, by its number, of the one family in `only`. */
  readonly input?: number
  /** How many findings end the run; they are told once each. */
  readonly mostFindings?: number
  readonly progress?: (text: string) => void
}

/** What was found, and how to see it again. */
export interface Found { readonly what: string, readonly detail: string, readonly family: string, readonly world: string, readonly again: string, readonly text: string }

export interface Report { readonly played: ReadonlyMap<string, number>, readonly found: readonly Found[] }

const batchSize = 500
const roundSize = 10_000
const lanes = 2 // rounds at a time, each with a server of its own

/** Plays inputs, batch by batch, each round on a new server. The same seed makes the same inputs. */
export async function run (options: RunOptions): Promise<Report> {
  const { inputs, input } = options
  const round = new Rounds(options)
  if (input !== undefined) await round.playAlone(input)
  else {
    const size = Math.min(roundSize, Math.ceil(inputs / round.worlds.length))
    let next = 0
    const lane = async (): Promise<void> => {
      while (next * size < inputs && !round.full) {
        const index = next++
        await round.play(index, index * size, Math.min(size, inputs - index * size))
      }
    }
    await Promise.all(Array.from({ length: lanes }, lane))
  }
  return { played: round.played, found: [...round.found.values()] }
}

interface Numbered { readonly number: number, readonly input: Input }

class Rounds {
  readonly played = new Map<string, number>()
  readonly found = new Map<string, Found>()
  readonly worlds: readonly World[]
  readonly #families: readonly Family[]
  readonly #options: RunOptions

  constructor (options: RunOptions) {
    this.#options = options
    this.worlds = chosen(worlds, options.worlds)
    this.#families = chosen(families, options.only)
  }

  get full (): boolean {
    return this.found.size >= (this.#options.mostFindings ?? 1)
  }

  /** One round: inputs from `from` on, in the world whose turn it is. */
  async play (index: number, from: number, count: number): Promise<void> {
    const world = this.worlds[index % this.worlds.length] as World
    const fitting = this.#families.filter(({ needsDatabase }) => needsDatabase !== true || world.store === 'sqlite')
    if (fitting.length === 0) return
    this.#options.progress?.(`inputs from ${from} on, over ${world.name}; ${this.found.size} findings`)
    let ground = await Ground.open(world)
    let usable = true
    for (let at = from; at < from + count && !this.full;) {
      const family = weighted(new Random(mixed(this.#options.seed, at, 99)), fitting)
      const size = Math.min(batchSize, from + count - at)
      usable = await this.#batch(ground, world, family, at, size)
      at += size
      if (usable) continue
      await ground.abandon()
      ground = await Ground.open(world)
      usable = true
    }
    try {
      if (usable) await ground.end()
    } catch (error) {
      this.#note(error, { family: 'a whole round', world, again: `SEED=${this.#options.seed} npm run fuzz -- --inputs ${from + count}`, text: `inputs ${from} to ${from + count - 1}` })
    }
  }

  /** Plays one input alone, and judges everything after it. */
  async playAlone (number: number): Promise<void> {
    const [family] = this.#families
    for (const world of this.worlds) {
      if (!family || (family.needsDatabase && world.store !== 'sqlite')) continue
      const ground = await Ground.open(world)
      const input = this.#make(family, number, ground.target)
      this.#options.progress?.(`${world.name}: ${input.text}`)
      await this.#playOne(family, world, ground, { number, input }).then(() => ground.judge()).then(() => ground.end())
        .catch(error => this.#note(error, this.#about(family, world, { number, input })))
      await ground.abandon()
    }
  }

  /** Whether the ground can be used further. */
  async #batch (ground: Ground, world: World, family: Family, from: number, count: number): Promise<boolean> {
    const batch = Array.from({ length: count }, (_, index) => ({ number: from + index, input: this.#make(family, from + index, ground.target) }))
    let next = 0
    const player = async (): Promise<void> => {
      while (next < batch.length && ground.server.lives) await this.#playOne(family, world, ground, batch[next++] as Numbered)
    }
    await Promise.all(Array.from({ length: family.concurrency }, player))
    this.played.set(family.name, (this.played.get(family.name) ?? 0) + count)
    try {
      await ground.judge()
      await ground.judgeMemory()
      return true
    } catch (error) {
      if (!(error instanceof Finding)) throw error
      if (!this.#isKnown(family.name, error.what)) await this.#blame(error, world, family, batch)
      return false
    }
  }

  async #playOne (family: Family, world: World, ground: Ground, numbered: Numbered): Promise<void> {
    try {
      await numbered.input.play(ground.target)
    } catch (error) {
      if (ground.server.lives) this.#note(error, this.#about(family, world, numbered))
    }
  }

  /** Which input of a batch it was: each alone, one after the other, on a new server. */
  async #blame (fault: Finding, world: World, family: Family, batch: readonly Numbered[]): Promise<void> {
    const { seed } = this.#options
    this.#options.progress?.(`${fault.what}: looking for the input`)
    const ground = await Ground.open(world)
    try {
      for (const numbered of batch) {
        const again = this.#make(family, numbered.number, ground.target)
        await again.play(ground.target).catch(() => {})
        const same = await ground.judge().then(() => null, (error: unknown) => error)
        if (same !== null) return this.#note(same, this.#about(family, world, { ...numbered, input: again }))
      }
    } finally {
      await ground.abandon()
    }
    const first = batch[0]?.number ?? 0
    this.#note(fault, { family: family.name, world, again: `SEED=${seed} npm run fuzz -- --inputs ${first + batch.length}`, text: `a batch, inputs ${first} to ${first + batch.length - 1}; none of them alone` })
  }

  #make (family: Family, number: number, target: Target): Input {
    return family.make(new Random(mixed(this.#options.seed, number, families.indexOf(family))), target)
  }

  #about (family: Family, world: World, { number, input }: Numbered): { family: string, world: World, again: string, text: string } {
    return { family: family.name, world, text: input.text, again: `SEED=${this.#options.seed} npm run fuzz -- --world ${world.name} --only ${family.name} --input ${number}` }
  }

  #isKnown (family: string, what: string): boolean {
    return this.found.has(keyOf(family, what))
  }

  #note (error: unknown, { family, world, again, text }: { family: string, world: World, again: string, text: string }): void {
    const what = error instanceof Finding ? error.what : `the fuzzer itself: ${String(error)}`
    if (this.#isKnown(family, what)) return
    const found = { what, detail: error instanceof Error ? error instanceof Finding ? error.message : String(error.stack) : String(error), family, world: world.name, again, text }
    this.found.set(keyOf(family, what), found)
    this.#options.progress?.(described(found))
  }
}

/** What tells its cause is told once, all else once for each family. */
function keyOf (family: string, what: string): string {
  return /^(the process|a fault|a line)/.test(what) ? what : `${family}: ${what}`
}

export function described ({ what, detail, family, world, again, text }: Found): string {
  return `FOUND (${family}, ${world}) ${what}\n  ${detail}\n  input: ${text}\n  again: ${again}`
}

function chosen<T extends { readonly name: string }> (all: readonly T[], names: readonly string[] | undefined): readonly T[] {
  for (const name of names ?? []) if (!all.some(each => each.name === name)) throw new TypeError(`there is no "${name}", there are ${all.map(each => each.name).join(', ')}`)
  return names === undefined ? all : all.filter(each => names.includes(each.name))
}

function weighted (random: Random, all: readonly Family[]): Family {
  let left = random.next() * all.reduce((sum, { weight }) => sum + weight, 0)
  return all.find(({ weight }) => (left -= weight) < 0) ?? all[0] as Family
}

/** A seed of its own for each input. */
function mixed (seed: number, number: number, family: number): number {
  let hash = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(number + 1, 0xc2b2ae35) ^ Math.imul(family + 1, 0x27d4eb2f)
  hash = Math.imul(hash ^ hash >>> 15, 0x2c1b3c6d)
  return (hash ^ hash >>> 13) >>> 0
}

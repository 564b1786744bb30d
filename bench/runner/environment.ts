import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { canPin } from './pinning.ts'
import { type PeerName, peers, versionOf } from './peers.ts'

/** What the numbers of a run belong to. */
export interface Environment {
  readonly date: string
  readonly commit: string
  readonly cpu: string
  readonly cores: number
  readonly memory: number
  readonly kernel: string
  readonly node: string
  readonly pinned: boolean
  readonly versions: Readonly<Record<string, string>>
  readonly absent: readonly string[]
}

export function environment (): Environment {
  const names = Object.keys(peers) as PeerName[]
  const versions = names.map(name => [peers[name].name, versionOf(name)] as const)
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    node: process.version,
    pinned: canPin,
    versions: Object.fromEntries(versions.filter((entry): entry is [typeof entry[0], string] => entry[1] !== null)),
    absent: versions.filter(([, version]) => version === null).map(([name]) => name)
  }
}

function commit (): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'unknown'
  }
}

import type { Load } from './load.ts'
import { type Peer, type PeerName, peers, versionOf } from './peers.ts'
import { Server } from './server.ts'

export interface Context {
  /** Small and short: to see whether all works. */
  readonly quick: boolean
  /** The subscribers' side. */
  readonly readers: Load
  /** The side that sends requests. */
  readonly posters: Load
  /** Peers to leave out of it. */
  readonly only: readonly PeerName[] | null
  /** A folder on a disk, emptied before each run. */
  readonly folder: string
  /** The folder of another version of this project, built, to measure beside this one. */
  readonly before: string | null
  progress (text: string): void
  /** Something went wrong that the numbers don't show: the run fails. */
  fault (text: string): void
}

export interface Suite<R> {
  readonly title: string
  run (context: Context): Promise<R>
  /** Markdown. */
  render (result: R): string
  /** SVG, by file name. */
  charts? (result: R): Record<string, string>
}

export async function withServer<T> (command: readonly string[], env: Readonly<Record<string, string>>, work: (server: Server) => Promise<T>): Promise<T> {
  const server = await Server.start(command, env)
  try {
    return await work(server)
  } finally {
    await server.stop()
  }
}

/** Those of `names` that are installed and wanted. */
export function chosen (names: readonly PeerName[], { only, progress }: Context): PeerName[] {
  return names.filter(name => {
    if (only && !only.includes(name)) return false
    const installed = versionOf(name) !== null
    if (!installed) progress(`${peers[name].name} is not installed: absent`)
    return installed
  })
}

/** `items`, begun by another one in each round, so that none always goes first. */
export function rotated<T> (items: readonly T[], round: number): T[] {
  return items.map((_, index) => items[(index + round) % items.length] as T)
}

export function updatesOf (peer: Peer): NonNullable<Peer['updates']> {
  if (!peer.updates) throw new TypeError(`${peer.name} has no stream`)
  return peer.updates
}

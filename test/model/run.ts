import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { memory } from '../../repository/memory.ts'
import { sqlite } from '../../repository/sqlite.ts'
import type { OpenStore } from '../../repository/store.ts'
import { play, settingsOf } from './history.ts'
import { injectedWorld } from './injected.ts'
import { Random } from './random.ts'
import type { Settings, World } from './service.ts'
import { wireWorld } from './wire.ts'

const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

function opener ({ store, kept }: Settings, folder: string): () => OpenStore {
  const retention = { count: kept, age: 0 }
  if (store === 'memory') return () => memory({ retention })
  return () => sqlite({ file: `${folder}/model.db`, synchronous: 'normal', retention, trimInterval: 2, pollInterval: 20 })
}

const longest = { injected: 10_000, wire: 30_000 } // milliseconds

/** How histories are played, and how many of a hundred so. Those over real sockets take thirty times as long. */
export const ways = [
  { store: 'memory', way: 'injected', share: 0.7 },
  { store: 'sqlite', way: 'injected', share: 0.28 },
  { store: 'memory', way: 'wire', share: 0.01 },
  { store: 'sqlite', way: 'wire', share: 0.01 }
] as const

/** Plays the histories of `count` seeds, from `seed` on. */
export async function playAll (count: number, seed: number, store: Settings['store'], way: 'injected' | 'wire'): Promise<void> {
  for (let index = 0; index < count; index++) await playSeed(seed + index, store, way)
}

/** Plays the history that a seed stands for. */
async function playSeed (seed: number, store: Settings['store'], way: 'injected' | 'wire'): Promise<void> {
  const random = new Random(seed)
  const settings = settingsOf(random, store)
  const late = deadline(longest[way])
  const folder = store === 'sqlite' ? mkdtempSync(`${base}/model-`) : ''
  try {
    const open = opener(settings, folder)
    const world = (): Promise<World> => way === 'wire' ? wireWorld(settings, open) : injectedWorld(settings, open)
    await Promise.race([play(random, settings, world, random.pick(way === 'wire' ? [0, 400, 60_000] : [0, 50, 400])), late.expired])
  } catch (cause) {
    throw new Error(`SEED=${seed}, ${way} over ${store}, ${JSON.stringify(settings)}: ${cause instanceof Error ? cause.message : cause}`, { cause })
  } finally {
    late.cancel()
    if (folder !== '') rmSync(folder, { recursive: true, force: true })
  }
}

/** Rejects when a history has come to a standstill: somebody waits for what never comes. */
function deadline (time: number): { expired: Promise<never>, cancel: () => void } {
  let cancel = (): void => {}
  const expired = new Promise<never>((_resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('it stands still')), time)
    cancel = () => clearTimeout(timer)
  })
  return { expired, cancel }
}

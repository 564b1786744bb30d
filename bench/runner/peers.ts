import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Address } from '../load/subscriber.ts'

export interface Peer {
  readonly name: string
  /** What it is, in a few words. */
  readonly what: string
  readonly command: readonly string[]
  /** How to subscribe to all changes; `null` where there is no stream. */
  readonly updates: Omit<Address, 'port'> | null
}

const here = dirname(dirname(fileURLToPath(import.meta.url)))
const bun = join(here, 'node_modules/.bin/bun')
const node = (file: string): string[] => [process.execPath, `servers/${file}.mjs`]
const text = { path: '/updates' }
const engine = { path: '/socket.io/?EIO=4&transport=websocket', hello: '40', greeting: 2 }

export const peers = {
  ours: { name: 'fastify-change-stream', what: 'this plugin, in memory, text stream', command: node('ours'), updates: text },
  fastify: { name: 'Fastify', what: 'bare: checked body, UUID, Map; no stream', command: node('fastify'), updates: null },
  tutorial: { name: 'Fastify by hand', what: '@fastify/websocket, a `socket.send` for each socket and change', command: node('tutorial'), updates: text },
  ws: { name: 'ws', what: 'node:http and ws, text encoded once, bodies unchecked', command: node('ws'), updates: text },
  socketio: { name: 'Socket.IO', what: 'node:http and `io.emit`, bodies unchecked', command: node('socketio'), updates: engine },
  feathers: { name: 'Feathers', what: 'Koa, memory service, TypeBox schema, one channel', command: node('feathers'), updates: engine },
  bun: { name: 'Bun', what: '`Bun.serve` with its native publish, bodies unchecked', command: [bun, 'servers/bun.mjs'], updates: text }
} as const satisfies Record<string, Peer>

export type PeerName = keyof typeof peers

const packages: Partial<Record<PeerName, string>> = {
  fastify: 'fastify', tutorial: '@fastify/websocket', ws: 'ws', socketio: 'socket.io', feathers: '@feathersjs/feathers', bun: 'bun'
}

/** The version that is installed, or `null`. */
export function versionOf (name: PeerName): string | null {
  if (name === 'bun') return spawnSync(bun, ['--version'], { encoding: 'utf8' }).stdout?.trim() || null
  const file = join(here, name === 'ours' ? '../package.json' : `node_modules/${packages[name]}/package.json`)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version : null
}

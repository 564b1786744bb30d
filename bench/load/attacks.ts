import { type Socket, connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface Attack { readonly port: number, readonly name: AttackName, readonly seconds: number }
export interface Sent { readonly requests: number, readonly bytes: number, /** Microseconds. */ readonly cpu: number }

/** Where an attack opens its connections and counts what it sends. */
interface Attacker {
  readonly end: number
  open (reads: boolean): Socket
  send (socket: Socket, bytes: string | Buffer, requests?: number): Promise<void>
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const upgrade = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: change-stream.v1\r\n\r\n`
const conditions = (offset = 0): string => JSON.stringify({ $or: Array.from({ length: 100 }, (_, index) => ({ lastName: `nobody ${offset + index}` })) })
const idOfLarge = '00000000-0000-4000-8000-000000000000'
const batch = JSON.stringify(Array.from({ length: 1000 }, (_, age) => ({ firstName: 'Eve', lastName: 'Eve', age, job: 'x' })))
const heavy = '/people?sort=lastName,-age&limit=1000'

/** A text or ping frame with a mask of zeros. */
function frame (opcode: number, text: string): Buffer {
  const length = text.length
  return Buffer.concat([Buffer.from(length < 126 ? [0x80 | opcode, 0x80 | length, 0, 0, 0, 0] : [0x80 | opcode, 0x80 | 126, length >> 8, length & 0xff, 0, 0, 0, 0]), Buffer.from(text)])
}

const attacks = {
  'lists of 1 MB records, 5 at once on each of 4 connections, unread': unread(4, get('/people?limit=100').repeat(5), 5),
  'snapshots of 1 MB records, 10 sockets that never read': unread(10, upgrade('/updates?snapshot=true')),
  'replays of 1 MB records, 10 sockets that never read': unread(10, upgrade('/updates?since=start')),
  'PATCHes of 180 bytes on a record of 1 MB, 4 connections': repeated(4, number => {
    const body = JSON.stringify({ age: number, firstName: 'x'.repeat(140) })
    return `PATCH /people/${idOfLarge} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  }),
  '20 sorted lists at once': repeated(20, () => get(heavy)),
  '30 sorted lists at once': repeated(30, () => get(heavy)),
  '20 lists of 100 × $or at once': repeated(20, number => get(`/people?where=${encodeURIComponent(conditions(number))}`)),
  'sorted lists, abandoned at once': abandoned(get(heavy)),
  'polls that wait, abandoned at once': abandoned(get('/updates?wait=60')),
  'batches of 1,000 records beside 1,000 sockets of 100 conditions each': repeated(1, () => `POST /people HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${batch.length}\r\n\r\n${batch}`),
  'filter messages of 100 conditions, one socket': flood(number => frame(1, `{"type":"filter","where":${conditions(number)}}`)),
  'pings of 125 bytes, one socket': flood(() => Buffer.concat(Array.from({ length: 100 }, () => frame(9, 'x'.repeat(125)))))
} as const satisfies Record<string, (attacker: Attacker) => Promise<void>>

export type AttackName = keyof typeof attacks
export const attackNames = Object.keys(attacks) as AttackName[]

/** What must be there before an attack begins. */
const preparations: Partial<Record<AttackName, (attacker: Attacker) => Promise<void>>> = {
  'batches of 1,000 records beside 1,000 sockets of 100 conditions each': async attacker => {
    for (let index = 0; index < 1000; index++) {
      const socket = attacker.open(true)
      const answered = new Promise(resolve => socket.once('data', resolve).once('close', resolve))
      await attacker.send(socket, upgrade(`/updates?where=${encodeURIComponent(conditions(index * 100))}`))
      await answered
    }
  }
}

/** What is asked for once and never read. */
function unread (connections: number, bytes: string, requests = 1) {
  return async (attacker: Attacker): Promise<void> => {
    for (let index = 0; index < connections; index++) await attacker.send(attacker.open(false), bytes, requests)
    await delay(Math.max(0, attacker.end - performance.now()))
  }
}

/** Each connection asks again as soon as it has its answer. */
function repeated (connections: number, next: (number: number) => string) {
  return async (attacker: Attacker): Promise<void> => {
    let number = 0
    await Promise.all(Array.from({ length: connections }, async () => {
      while (performance.now() < attacker.end) {
        const socket = attacker.open(true)
        const answered = new Promise(resolve => socket.once('data', resolve).once('close', resolve))
        await attacker.send(socket, next(number++))
        await Promise.race([answered, delay(Math.max(0, attacker.end - performance.now()), undefined, { ref: false })])
        socket.resetAndDestroy()
      }
    }))
  }
}

/** Asked for and left, 200 times a second. */
function abandoned (bytes: string) {
  return async (attacker: Attacker): Promise<void> => {
    while (performance.now() < attacker.end) {
      const socket = attacker.open(true)
      await attacker.send(socket, bytes)
      setTimeout(() => socket.resetAndDestroy(), 3)
      await delay(5)
    }
  }
}

/** One socket, as fast as it is taken. */
function flood (next: (number: number) => Buffer) {
  return async (attacker: Attacker): Promise<void> => {
    let socket = attacker.open(true)
    await attacker.send(socket, upgrade('/updates'))
    for (let number = 0; performance.now() < attacker.end; number++) {
      if (socket.destroyed) {
        await delay(100)
        socket = attacker.open(true)
        await attacker.send(socket, upgrade('/updates'))
      }
      await attacker.send(socket, next(number))
      if (number % 10 === 0) await delay(0)
    }
  }
}

const sockets = new Set<Socket>()

class Sender implements Attacker {
  requests = 0
  bytes = 0
  readonly end: number
  readonly #port: number

  constructor (port: number, end: number) {
    this.#port = port
    this.end = end
  }

  open (reads: boolean): Socket {
    const socket = connect({ port: this.#port, host: '127.0.0.1' })
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    return reads ? socket.resume() : socket.pause()
  }

  async send (socket: Socket, what: string | Buffer, count = 1): Promise<void> {
    this.requests += count
    this.bytes += what.length
    if (socket.write(what)) return
    await Promise.race([new Promise(resolve => socket.once('drain', resolve).once('close', resolve)), delay(Math.max(0, Math.min(2 ** 31 - 1, this.end - performance.now())))])
  }
}

/** Opens what the attack needs; `attack` closes it. */
export async function prepareAttack ({ port, name }: Omit<Attack, 'seconds'>): Promise<void> {
  await preparations[name]?.(new Sender(port, Infinity))
}

/** Does the one for so long, and tells what it cost who sends. */
export async function attack ({ port, name, seconds }: Attack): Promise<Sent> {
  const cpu = process.cpuUsage()
  const sender = new Sender(port, performance.now() + seconds * 1000)
  await attacks[name](sender)
  for (const socket of sockets) socket.resetAndDestroy()
  const { user, system } = process.cpuUsage(cpu)
  return { requests: sender.requests, bytes: sender.bytes, cpu: user + system }
}

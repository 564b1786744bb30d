import { queryObjects } from 'node:v8'
import { createInterface } from 'node:readline'
import { type Socket } from 'node:net'
import Fastify from 'fastify'
import { WebSocket } from 'ws'
import changeStream, { type ChangeStreamOptions, memory } from '../../plugin/index.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { Connection } from '../../stream/connection.ts'
import { FilterClass } from '../../stream/filter-class.ts'
import { Subscription } from '../../stream/subscription.ts'
import { ada } from '../helper.ts'

/** What is left in the process after a collection: objects of each kind, listeners, and bytes. */
export interface Left {
  readonly objects: Readonly<Record<string, number>>
  readonly listeners: number
  readonly heap: number
}

const [file] = process.argv.slice(2)
const app = Fastify({ forceCloseConnections: true })
const repository: ChangeStreamOptions['repository'] = file ? sqlite({ file, synchronous: 'normal' }) : memory()
await app.register(changeStream, { repository })
await app.listen({ port: 0, host: '127.0.0.1' })
const people = app.changeStreams.people
await people.createAll(Array.from({ length: 300 }, (_, age) => ({ ...ada, age, job: 'x'.repeat(1000) })))
const open = new Set<Socket>()
app.server.on('connection', (socket: Socket) => {
  open.add(socket)
  socket.on('close', () => open.delete(socket))
})
const events = ['connection', 'request', 'upgrade', 'close', 'error', 'checkContinue', 'clientError', 'connect', 'timeout', 'listening']

async function left (): Promise<Left> {
  while (open.size > 0) await new Promise(resolve => setImmediate(resolve))
  for (let turns = 0; turns < 5; turns++) {
    globalThis.gc?.()
    await new Promise(resolve => setTimeout(resolve, 20)) // finalizers and timers of Node's own
  }
  const { heapUsed, external } = process.memoryUsage()
  return {
    objects: {
      subscriptions: queryObjects(Subscription, { format: 'count' }),
      classes: queryObjects(FilterClass, { format: 'count' }),
      connections: queryObjects(Connection, { format: 'count' }),
      webSockets: queryObjects(WebSocket, { format: 'count' })
    },
    listeners: events.reduce((sum, event) => sum + app.server.listenerCount(event), 0),
    heap: heapUsed + external
  }
}

let age = 0
createInterface(process.stdin).on('line', async line => {
  if (line === 'write') await people.createAll(Array.from({ length: 20 }, () => ({ ...ada, age: age++ % 100 })))
  process.stdout.write(`${JSON.stringify(line === 'left' ? await left() : line)}\n`)
}).on('close', () => { app.close() })
process.stdout.write(`${JSON.stringify(app.listeningOrigin)}\n`)

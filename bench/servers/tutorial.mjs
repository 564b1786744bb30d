// What one writes first with Fastify and @fastify/websocket: a listener for each socket, which makes its own text and sends it.
import { EventEmitter } from 'node:events'
import { randomUUID } from 'node:crypto'
import websocket from '@fastify/websocket'
import Fastify from 'fastify'
import { Person, announce } from './person.mjs'

const people = new Map()
const updates = new EventEmitter().setMaxListeners(0)
const app = Fastify()
await app.register(websocket)
app.post('/people', { schema: { body: Person } }, async (request, reply) => {
  const person = { id: randomUUID(), ...request.body }
  people.set(person.id, person)
  updates.emit('saved', person)
  reply.code(201).header('location', `/people/${person.id}`)
  return person
})
app.get('/people/:id', async request => people.get(request.params.id))
app.get('/updates', { websocket: true }, socket => {
  const send = person => socket.send(`Saved person [${person.id}] ${JSON.stringify(person)}`)
  updates.on('saved', send)
  socket.on('close', () => updates.off('saved', send))
})
await app.listen({ port: 0, host: '127.0.0.1' })
announce(app.server)

// Fastify and nothing else: a checked body, a UUID, a Map, an address. No stream.
import { randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import { Person, announce } from './person.mjs'

const people = new Map()
const app = Fastify()
app.post('/people', { schema: { body: Person } }, async (request, reply) => {
  const person = { id: randomUUID(), ...request.body }
  people.set(person.id, person)
  reply.code(201).header('location', `/people/${person.id}`)
  return person
})
await app.listen({ port: 0, host: '127.0.0.1' })
announce(app.server)

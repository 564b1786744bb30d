// Feathers: its service in memory behind a TypeBox schema, every connection in one channel.
import { once } from 'node:events'
import { randomUUID } from 'node:crypto'
import { feathers } from '@feathersjs/feathers'
import { bodyParser, errorHandler, koa, rest } from '@feathersjs/koa'
import { MemoryService } from '@feathersjs/memory'
import { Ajv, hooks } from '@feathersjs/schema'
import socketio from '@feathersjs/socketio'
import { getValidator } from '@feathersjs/typebox'
import { Person, announce } from './person.mjs'

const app = koa(feathers())
app.use(errorHandler())
app.use(bodyParser())
app.configure(rest())
app.configure(socketio({ transports: ['websocket'], pingInterval: 300_000 }))
app.use('people', new MemoryService({ id: 'id' }))
app.service('people').hooks({
  before: {
    create: [hooks.validateData(getValidator(Person, new Ajv())), async context => { context.data = { id: randomUUID(), ...context.data } }]
  },
  after: {
    create: [async context => { context.http = { ...context.http, headers: { location: `/people/${context.result.id}` } } }]
  }
})
app.on('connection', connection => app.channel('all').join(connection))
app.publish(() => app.channel('all'))
const server = await app.listen(0, '127.0.0.1')
if (!server.listening) await once(server, 'listening')
announce(server)

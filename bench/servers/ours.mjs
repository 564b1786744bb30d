// This plugin, as built: in memory, or in the SQLite file that DATABASE names.
import Fastify from 'fastify'
import changeStream, { memory } from '../../dist/plugin/index.js'
import { sqlite } from '../../dist/repository/sqlite.js'
import { announce } from './person.mjs'

const { DATABASE, KEPT = '100000', HEARTBEAT = '15000' } = process.env
const app = Fastify()
await app.register(changeStream, {
  heartbeat: Number(HEARTBEAT),
  repository: DATABASE ? sqlite({ file: DATABASE, synchronous: 'full', retention: { count: Number(KEPT), bytes: 2 ** 40 } }) : memory()
})
await app.listen({ port: 0, host: '127.0.0.1' })
announce(app.server)

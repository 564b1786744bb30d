// This plugin, as built, in memory or in the SQLite file that DATABASE names; GET /loop tells the longest hold of the event loop since it was last asked, milliseconds.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import Fastify from 'fastify'
import changeStream, { memory } from '../../dist/plugin/index.js'
import { sqlite } from '../../dist/repository/sqlite.js'
import { announce } from './person.mjs'

const { DATABASE } = process.env
const delays = monitorEventLoopDelay({ resolution: 1 })
delays.enable()
const app = Fastify()
app.get('/loop', async () => {
  const longest = delays.max / 1e6
  delays.reset()
  return longest
})
await app.register(changeStream, { repository: DATABASE ? sqlite({ file: DATABASE }) : memory() })
await app.listen({ port: 0, host: '127.0.0.1' })
announce(app.server)

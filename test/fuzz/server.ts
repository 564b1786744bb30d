import Fastify, { type FastifyError, type FastifyReply, type FastifyRequest } from 'fastify'
import changeStream, { type ChangeStreamOptions, memory } from '../../plugin/index.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { resources } from './resources.ts'

/** The app under test: `server.ts [database]`. What it answers itself bears `x-app`, all else is the plugin's. */
const [file] = process.argv.slice(2)
const own = (status: number) => (_: unknown, __: FastifyRequest, reply: FastifyReply): unknown => reply.header('x-app', '1').code(status).send('the app')
const app = Fastify({
  logger: { level: 'error' },
  frameworkErrors: own(400) as never,
  clientErrorHandler (_, socket) {
    if (!socket.writable) return // it has been told: what comes after is wrong, too
    socket.end('HTTP/1.1 400 Bad Request\r\nx-app: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
    socket.destroySoon()
  }
})
app.setNotFoundHandler((request, reply) => own(404)(null, request, reply))
app.setErrorHandler((error: FastifyError, request, reply) => own(error.statusCode ?? 500)(error, request, reply))
const repository: ChangeStreamOptions['repository'] = file ? sqlite({ file, synchronous: 'normal' }) : memory()
const { people, things, orders } = resources
await app.register(changeStream, { repository })
for (const { name, schema, path, updates } of [things, orders]) {
  const prefix = path.startsWith('/api/') ? '/api' : ''
  await app.register(changeStream, { resource: { name, schema }, prefix, path: path.slice(prefix.length), updatesPath: updates.slice(prefix.length), repository })
}
await app.listen({ port: 0, host: '127.0.0.1' })
process.on('SIGTERM', () => { app.close() })
console.log(`${people.name} at ${app.listeningOrigin}`)

import Fastify from 'fastify'
import changeStream from 'fastify-change-stream'
import { sqlite } from 'fastify-change-stream/sqlite'

const app = Fastify({ logger: true })

app.get('/', async () => ({ hello: 'world' })) // routes of your own stay as they are

await app.register(changeStream, { repository: sqlite({ file: 'people.db' }) })

app.changeStreams.people.on('change', ({ op, id }) => app.log.info({ op, id }, 'a person has changed'))

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())

await app.listen({ port: Number(process.env['PORT'] ?? 3000) })

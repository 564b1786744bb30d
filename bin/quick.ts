import Fastify from 'fastify'
import changeStream from '../plugin/index.ts'
import { sqlite } from '../repository/sqlite.ts'
const app = Fastify({ logger: { level: process.env['LOG_LEVEL'] ?? 'warn' } })
await app.register(changeStream, { repository: sqlite({ file: process.env['DATABASE'] ?? '/tmp/quick.db' }) })
await app.listen({ port: Number(process.env['PORT'] ?? 3000) })

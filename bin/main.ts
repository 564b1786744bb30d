#!/usr/bin/env node
import { relative, resolve } from 'node:path'
import closeWithGrace from 'close-with-grace'
import Fastify from 'fastify'
import changeStream, { memory } from '../plugin/index.ts'
import { sqlite } from '../repository/sqlite.ts'
import { ServerConnections } from './connections.ts'
import { clientError, frameworkError, notFound, refuse } from './problems.ts'
import { type Settings, help, readSettings } from './settings.ts'

// milliseconds
const closeWithin = 10_000
const abandonAfter = 15_000 // that it does not even then is a fault
const requestTimeout = 60_000

const ends = ['SIGINT', 'SIGTERM'] as const

async function serve ({ port, host, database, logLevel, closeGrace }: Settings): Promise<void> {
  const quiet = { disableRequestLogging: true } // a line for each request would cost more than the request
  const app = Fastify({
    logger: { level: logLevel },
    ...('LogController' in Fastify ? { logController: new Fastify.LogController(quiet) } : quiet),
    requestTimeout,
    return503OnClosing: false, // we do, below
    frameworkErrors: frameworkError,
    clientErrorHandler: clientError
  })
  const connections = new ServerConnections(app)
  app.setNotFoundHandler(notFound)
  app.setErrorHandler(frameworkError)
  app.addHook('onRequest', async (_request, reply) => {
    if (connections.closing) return refuse(reply.headers({ Connection: 'close', 'Retry-After': 1 }), 503, 'the server is going away')
  })
  const { close } = closeWithGrace({ delay: abandonAfter, logger: app.log, skip: [...ends] }, async ({ err }) => {
    if (err) app.log.fatal({ err }, 'the server failed')
    connections.end(closeGrace, closeWithin)
    await app.close()
  })
  let closing = false
  for (const signal of ends) {
    process.on(signal, () => {
      if (!closing) close()
      closing = true // a terminal's Ctrl-C comes twice under `npm start`: once to each process, and once more from npm
    })
  }
  await app.register(changeStream, { repository: database === ':memory:' ? memory() : sqlite({ file: database }) })
  await app.register(async scope => scope.addHook('preClose', async () => await connections.answered())) // after the plugin's
  await app.listen({ port, host })
  console.log(welcome(app.listeningOrigin, database))
}

/** Three things to try at once. */
function welcome (origin: string, database: string): string {
  const kept = database === ':memory:' ? 'in memory' : `in ${database}`
  const person = '{"firstName":"Ada","lastName":"Lovelace","age":36,"job":"mathematician"}'
  const flag = Number(process.versions.node.split('.')[0]) < 22 ? '--experimental-websocket ' : ''
  const readme = relative(process.cwd(), resolve(import.meta.dirname, '../../README.md'))
  return `
People at ${origin}/people, their changes at ${origin}/updates, kept ${kept}. In another terminal:

  node ${flag}-e "new WebSocket('${origin.replace('http', 'ws')}/updates').onmessage = message => console.log(message.data)"
  curl ${origin}/people -H 'Content-Type: application/json' -d '${person}'
  cat ${readme}
`
}

try {
  const settings = readSettings(process.argv.slice(2), process.env)
  if (settings) await serve(settings)
  else console.log(help)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}

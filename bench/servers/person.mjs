import { Type } from '@sinclair/typebox'

/** What every peer keeps. */
export const Person = Type.Object({
  firstName: Type.String({ minLength: 1 }),
  lastName: Type.String({ minLength: 1 }),
  age: Type.Integer({ minimum: 0 }),
  job: Type.String({ minLength: 1 })
}, { additionalProperties: false })

/** Tells the runner where the server listens. Requests may be seconds apart under load: every server keeps connections as long as Fastify does. */
export function announce (server) {
  server.keepAliveTimeout = 72_000
  console.log(server.address().port)
}

import Fastify from 'fastify'
import changeStream from 'fastify-change-stream'

const app = Fastify()

await app.register(async scope => {
  scope.addHook('onRequest', async (request, reply) => {
    const { authorization, cookie } = request.headers
    if (authorization === 'Bearer secret' || cookie === 'token=secret') return
    await reply.code(401).send({ message: 'Who are you?' })
  })
  await scope.register(changeStream)
})

await app.listen({ port: Number(process.env['PORT'] ?? 3000) })

import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import changeStream from 'fastify-change-stream'

const Order = Type.Object({
  customer: Type.String({ minLength: 1 }),
  total: Type.Number({ minimum: 0 }),
  status: Type.Union([Type.Literal('open'), Type.Literal('paid')])
})

declare module 'fastify-change-stream' {
  interface ChangeStreams { orders: typeof Order }
}

const app = Fastify()
await app.register(changeStream)
await app.register(changeStream, { resource: { name: 'orders', noun: 'order', schema: Order }, updatesPath: '/orders/updates' })

const { people, orders } = app.changeStreams
let revenue = 0
orders.on('change', change => {
  if (change.op === 'save' && change.record.status === 'paid' && change.before?.status !== 'paid') revenue += change.record.total
})

const { record: ada } = await people.create({ firstName: 'Ada', lastName: 'Lovelace', age: 36, job: 'mathematician' })
const { id } = await orders.create({ customer: ada.id, total: 9.5, status: 'open' })
await orders.patch(id, { status: 'paid' })
console.log(`${ada.firstName} has paid ${revenue}`)
await app.close()

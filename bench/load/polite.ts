import { setTimeout as delay } from 'node:timers/promises'
import { clock, stamp, stampMark, stampedTime } from './clock.ts'
import { FrameSplitter } from './frames.ts'
import { HttpConnection, request } from './http.ts'
import { type Percentiles, Samples } from './samples.ts'
import { Subscriber } from './subscriber.ts'

export interface PoliteLoad { readonly get: Percentiles, readonly delivery: Percentiles }

const pace = 20 // milliseconds between two requests of a kind

/** One connection that gets a record, one that writes, one that subscribes, each at a slow pace; what is due is measured from when it was due. */
export async function politely ({ port, seconds }: { port: number, seconds: number }): Promise<PoliteLoad> {
  const get = new Samples()
  const delivery = new Samples()
  const subscriber = new Subscriber(0, { port, path: `/updates?where=${encodeURIComponent('{"job":"polite"}')}` }, new FrameSplitter((bytes, begin) => {
    delivery.add(clock() - stampedTime(bytes, bytes.indexOf(stampMark, begin, 'latin1')))
    return 1
  }))
  await subscriber.open({ port, path: '' })
  let number = 0
  const post = (): string => request('POST', '/people', `{"firstName":"Ada","lastName":"${stamp(number++)}","age":1,"job":"polite"}`)
  const connections = [new HttpConnection(port, () => {}), new HttpConnection(port, () => {})] as const
  const created = await new Promise<string>(resolve => connections[0].send(post(), (_, body) => resolve((JSON.parse(body) as { id: string }).id)))
  const end = clock() + seconds * 1e6
  await Promise.all([paced(connections[0], end, () => request('GET', `/people/${created}`), get), paced(connections[1], end, post, new Samples())])
  await delay(50)
  for (const connection of connections) connection.close()
  subscriber.close()
  return { get: get.percentiles(), delivery: delivery.percentiles() }
}

async function paced (connection: HttpConnection, end: number, next: () => string, samples: Samples): Promise<void> {
  for (let due = clock(); due < end; due += pace * 1000) {
    const wait = (due - clock()) / 1000
    if (wait > 0) await delay(wait)
    await new Promise<void>(resolve => connection.send(next(), () => resolve()))
    samples.add(clock() - due)
    if (clock() - due > 10e6) due = clock() // one that took so long says enough
  }
}

import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import t from 'tap'
import { ada, build, connect, listen } from '../helper.ts'
import { RawSocket } from '../raw-socket.ts'

const ping = 0x9
const pong = 0xa
/** A hundred pings of 120 bytes, masked with nothing. */
const pings = Buffer.concat(Array.from({ length: 100 }, () => Buffer.concat([Buffer.from([0x80 | ping, 0x80 | 120, 0, 0, 0, 0]), Buffer.alloc(120, 'x')])))

t.test('a peer that floods with pings and reads nothing has one answer waiting, and gets that to its last ping', { timeout: 120_000 }, async t => {
  const app = await build(t, { heartbeat: 600_000 })
  const origin = await listen(app)
  const connection = once(app.server, 'connection') as Promise<[Socket]>
  const peer = new RawSocket((app.server.address() as AddressInfo).port, '/updates')
  t.teardown(() => peer.socket.destroy())
  const [socket] = await connection
  await once(peer.socket, 'connect')
  const polite = await connect(t, `${origin}/updates`)
  peer.socket.pause()
  let most = 0
  for (let burst = 0; burst < 1500; burst++) { // 19 MB of answers, more than the kernel holds
    if (!peer.socket.write(pings)) await once(peer.socket, 'drain')
    most = Math.max(most, socket.writableLength)
  }
  peer.send(ping, 'the last')
  t.ok(most < 200_000, `${most} bytes waited`)
  const { id } = await app.changeStreams.people.create(ada)
  t.match(await polite.next(), id)
  peer.socket.resume()
  await peer.has(frames => frames.some(({ opcode, payload }) => opcode === pong && payload.toString() === 'the last'))
  t.ok(peer.frames.length < 150_000, 'not each was answered')
})

t.test('each ping of a peer that reads is answered', async t => {
  const app = await build(t)
  const inbox = await connect(t, `${await listen(app)}/updates`)
  for (let count = 0; count < 100; count++) {
    inbox.socket.ping(String(count))
    t.same(String((await once(inbox.socket, 'pong'))[0]), String(count))
  }
})

import t, { type Test } from 'tap'
import type { WebSocket } from 'ws'
import type { OpenStore } from '../../repository/store.ts'
import { textFrame, deflatedFrame } from '../../stream/frame.ts'
import { type Inbox, ada, build, connect, listen, stores } from '../helper.ts'

const job = 'mathematician and writer of the first program; '.repeat(20)

async function serve (t: Test, store: OpenStore): Promise<{ create: (age: number) => Promise<unknown>, url: string }> {
  const app = await build(t, { compression: true, repository: store })
  const url = await listen(app)
  return { create: async age => await app.changeStreams.people.create({ ...ada, age, job }), url: `${url}/updates` }
}

/** Bytes that a socket has read since it was opened. */
function bytesRead (inbox: Inbox): number {
  return (inbox.socket as WebSocket & { _socket: { bytesRead: number } })._socket.bytesRead
}

for (const [name, open] of Object.entries(stores)) {
  t.test(`compressed streams over ${name}`, async t => {
    const { create, url } = await serve(t, open(t))
    const deflating = { perMessageDeflate: true }

    await t.test('a client that takes deflated frames is told the same in fewer bytes', async t => {
      for (const protocol of [undefined, 'change-stream.v1']) {
        const plain = await connect(t, url, protocol, { perMessageDeflate: false })
        const deflated = await connect(t, url, protocol, deflating)
        t.match(deflated.socket.extensions, /permessage-deflate/)
        t.equal(plain.socket.extensions, '')
        for (const inbox of protocol ? [plain, deflated] : []) for (const type of ['ready', 'synced']) t.match(await inbox.nextJson(), { type })
        const before = [plain, deflated].map(bytesRead)
        for (let age = 0; age < 20; age++) {
          await create(age)
          t.equal(await deflated.next(), await plain.next())
        }
        const [many = 0, few = 0] = [plain, deflated].map((inbox, index) => bytesRead(inbox) - (before[index] ?? 0))
        t.ok(few < many / 3, `${few} of ${many} bytes`)
      }
    })

    await t.test('a client whose window is smaller gets plain frames', async t => {
      const inbox = await connect(t, url, undefined, { perMessageDeflate: { serverMaxWindowBits: 9 } })
      const before = bytesRead(inbox)
      await create(1)
      t.match(await inbox.next(), /^Saved person/)
      t.ok(bytesRead(inbox) - before > job.length)
    })

    await t.test('what is replayed to one, and a snapshot, need no compression, and are good for a client that takes it', async t => {
      const inbox = await connect(t, `${url}?snapshot=true`, 'change-stream.v1', deflating)
      t.match(await inbox.nextJson(), { type: 'ready' })
      t.match(await inbox.nextJson(), { type: 'snapshot' })
      const replayed = await connect(t, `${url}?since=start`, undefined, deflating)
      t.match(await replayed.next(), /^Saved person/)
    })

    await t.test('a client may deflate too', async t => {
      const inbox = await connect(t, url, undefined, { perMessageDeflate: { threshold: 0 } })
      inbox.send('stop')
      t.equal((await inbox.closed()).code, 1000)
    })
  })
}

t.test('without the option nothing is negotiated', async t => {
  const app = await build(t)
  const inbox = await connect(t, `${await listen(app)}/updates`, undefined, { perMessageDeflate: true })
  t.equal(inbox.socket.extensions, '')
})

t.test('a payload that deflating makes no smaller is framed as it is', async t => {
  const short = Buffer.from('a')
  t.same(deflatedFrame(short), textFrame(short))
  const long = Buffer.alloc(100_000, 'a')
  t.ok(deflatedFrame(long).length < 1000)
})

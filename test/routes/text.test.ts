import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { Flood, type Person, ada, build, connect, grace, listen, refusedUpgrade, request, stores, until } from '../helper.ts'
import { RawSocket } from '../raw-socket.ts'

const saved = (person: { id: string }): string => `Saved person [${person.id}] ${JSON.stringify(person)}`

for (const [name, store] of Object.entries(stores)) {
  t.test(`the text stream over ${name}`, async t => {
    const app = await build(t, { repository: store(t) })
    const origin = await listen(app)
    const people = app.changeStreams.people
    const url = `${origin}/people`
    const updates = `${origin}/updates`

    t.test('tells of every change, whoever made it, in order', async t => {
      const inbox = await connect(t, updates)
      const { body: one } = await request<Person>(url, 'POST', ada)
      const { record: two } = await people.create(grace)
      await request(`${url}/${one.id}`, 'PUT', grace)
      await request(`${url}/${two.id}`, 'PATCH', { age: 80 })
      await request(`${url}/${one.id}`, 'DELETE')
      await people.delete(two.id)
      for (const expected of [
        saved(one), saved(two), saved({ ...one, ...grace }), saved(Object.assign({}, two, { age: 80 })),
        `Deleted person [${one.id}]`, `Deleted person [${two.id}]`
      ]) t.equal(await inbox.next(), expected)
      t.same(await inbox.rest(), [])
    })

    t.test('tells nothing of what was refused or changed nothing', async t => {
      const { body: person } = await request<Person>(url, 'POST', ada)
      const inbox = await connect(t, updates)
      await request(url, 'POST', { ...ada, age: -1 })
      await request(url, 'POST', [ada, { ...ada, age: -1 }])
      await request(`${url}/${person.id}`, 'PUT', ada)
      await request(`${url}/${person.id}`, 'PATCH', {})
      await request(`${url}/${person.id}`, 'DELETE', undefined, { 'if-match': '"stale"' })
      const { record } = await people.create(grace)
      t.equal(await inbox.next(), saved(record))
    })

    t.test('a batch comes whole and in order', async t => {
      const inbox = await connect(t, updates)
      const { body } = await request<Person[]>(url, 'POST', Array.from({ length: 100 }, (_, age) => ({ ...ada, age })))
      for (const person of body) t.equal(await inbox.next(), saved(person))
    })

    for (const [command, wanted] of [
      ['saves', 'S'], ['deletes', 'D'], ['all', 'SD'], ['anything', 'SD'], ['', 'SD'], ['SAVES', 'S'], [' deletes\n', 'D'], ['saves deletes', 'SD']
    ] as const) {
      t.test(`after ${JSON.stringify(command)} it tells of ${wanted}`, async t => {
        const inbox = await connect(t, `${updates}?filter=${wanted === 'S' ? 'deletes' : 'saves'}`)
        inbox.send(command)
        await inbox.rest()
        const { id } = await people.create(ada)
        await people.delete(id)
        await people.create(ada)
        await people.delete((await people.create(ada)).id)
        const kinds = (await inbox.rest()).map(message => message[0])
        t.same(kinds, wanted === 'SD' ? ['S', 'D', 'S', 'S', 'D'] : wanted === 'S' ? ['S', 'S', 'S'] : ['D', 'D'])
      })
    }

    t.test('binary frames are ignored', async t => {
      const inbox = await connect(t, updates)
      inbox.send(Buffer.from('deletes'))
      inbox.send(Buffer.from('stop'))
      const { record } = await people.create(ada)
      t.equal(await inbox.next(), saved(record))
    })

    t.test('a filter takes effect for what is committed after it was read, and only for that', async t => {
      const inbox = await connect(t, updates)
      for (let round = 0; round < 20; round++) {
        const before = Promise.all([people.create(ada), people.create(grace)])
        inbox.send('deletes')
        const [one, two] = await before
        await inbox.rest().then(messages => t.ok(messages.every(message => [saved(one.record), saved(two.record)].includes(message))))
        await people.create(ada)
        await people.delete(one.id)
        t.equal(await inbox.next(), `Deleted person [${one.id}]`)
        inbox.send('all')
        await inbox.rest()
      }
    })

    t.test('a query says from the start what is wanted', async t => {
      const where = encodeURIComponent(JSON.stringify({ age: { $gte: 65 } }))
      const inbox = await connect(t, `${updates}?where=${where}`)
      const one = await people.create(ada)
      const two = await people.create(grace)
      await people.patch(two.id, { age: 80 })
      await people.patch(two.id, { age: 20 })
      await people.patch(two.id, { age: 21 })
      await people.patch(one.id, { age: 65 })
      await people.delete(one.id)
      await people.delete(two.id)
      const end = await people.create(grace)
      for (const expected of [
        saved(two.record), saved(Object.assign({}, two.record, { age: 80 })), `Left person [${two.id}]`,
        saved(Object.assign({}, one.record, { age: 65 })), `Deleted person [${one.id}]`, saved(end.record)
      ]) t.equal(await inbox.next(), expected)
    })

    t.test('it goes on behind a cursor', async t => {
      const { cursor } = await people.create(ada)
      const missed = [await people.create(grace), await people.create(ada)]
      const inbox = await connect(t, `${updates}?since=${cursor}`)
      const live = await people.create(grace)
      for (const { record } of [...missed, live]) t.equal(await inbox.next(), saved(record))
      const { changes } = (await request<{ changes: unknown[] }>(`${updates}?since=start&limit=10000`)).body
      const all = await connect(t, `${updates}?since=start`)
      for (let count = 0; count < changes.length; count++) await all.next()
      t.same(await all.rest(), [])
    })

    t.test('a cursor of another log ends the stream with 4410', async t => {
      const inbox = await connect(t, `${updates}?since=other.1`)
      t.match(await inbox.next(), /^Error \[gone\]/)
      const { code, reason } = await inbox.closed()
      t.equal(code, 4410)
      t.match(reason, /another log/)
    })

    t.test('what can not be asked for is refused before the upgrade', async t => {
      for (const [query, named] of [
        ['snapshot=true', 'snapshot'], ['fields=age', 'fields'], ['filter=some', 'filter'], ['filter=all&filter=saves', '"filter" twice'],
        ['since=yesterday', 'since'], ['where=x', 'where'], ['where={"height":1}', 'height'], ['limit=1', 'limit'], ['wait=1', 'wait'], ['colour=red', 'colour']
      ] as const) {
        const { status, body } = await refusedUpgrade(`${updates}?${query}`)
        t.equal(status, 400, query)
        t.match(JSON.parse(body).detail, named)
      }
      const { status, body } = await refusedUpgrade(updates, 'graphql-transport-ws')
      t.equal(status, 400)
      t.match(JSON.parse(body).detail, 'graphql-transport-ws')
    })

    t.test('a message that is too long ends the stream with 1009', async t => {
      const inbox = await connect(t, updates)
      inbox.send('x'.repeat(20_000))
      t.equal((await inbox.closed()).code, 1009)
    })

    t.test('the peer may close too', async t => {
      const inbox = await connect(t, updates)
      inbox.socket.close(1000)
      t.equal((await inbox.closed()).code, 1000)
      await people.create(ada)
      t.same(inbox.left(), [])
    })
  })
}

t.test('stop', async t => {
  const app = await build(t)
  const origin = await listen(app)
  const port = (app.server.address() as AddressInfo).port
  const people = app.changeStreams.people

  t.test('is answered with close code 1000, in any case and with white space', async t => {
    for (const command of ['stop', 'STOP', ' Stop\n']) {
      const inbox = await connect(t, `${origin}/updates`)
      inbox.send(command)
      t.equal((await inbox.closed()).code, 1000)
    }
  })

  t.test('under a flood of changes nothing follows the close frame, 1,000 times out of 1,000', { timeout: 60_000 }, async t => {
    const flood = new Flood(() => people.create(ada))
    let clean = 0
    let told = 0
    for (let round = 0; round < 50; round++) {
      const sockets = Array.from({ length: 20 }, () => new RawSocket(port, '/updates'))
      await Promise.all(sockets.map(async (socket, index) => {
        await socket.has(frames => frames.length > index)
        socket.send(1, 'stop')
        await socket.has(frames => frames.some(frame => frame.opcode === 8))
        socket.send(8, Buffer.from([0x03, 0xe8]))
        await socket.ended()
        told += socket.frames.length
        if (socket.frames.findIndex(frame => frame.opcode === 8) === socket.frames.length - 1) clean++
      }))
    }
    await flood.stop()
    t.equal(clean, 1000)
    t.ok(told > 10_000, `${told} frames came before`)
  })

  t.test('a close by the peer under a flood is answered by nothing but a close', async t => {
    const flood = new Flood(() => people.create(ada))
    for (let round = 0; round < 100; round++) {
      const socket = new RawSocket(port, '/updates')
      await socket.has(frames => frames.length > 3)
      socket.send(8, Buffer.from([0x03, 0xe8]))
      await socket.ended()
      t.equal(socket.frames.findIndex(frame => frame.opcode === 8), socket.frames.length - 1)
    }
    await flood.stop()
  })
})

t.test('no message is lost that a client sends with its handshake', async t => {
  const app = await build(t)
  await listen(app)
  const port = (app.server.address() as AddressInfo).port
  const socket = new RawSocket(port, '/updates')
  socket.send(1, 'stop')
  await socket.has(frames => frames.some(frame => frame.opcode === 8))
  t.same(socket.frames.map(frame => frame.opcode), [8])
  socket.socket.destroy()
})

t.test('a heartbeat pings every peer, and drops one that answers none', async t => {
  const app = await build(t, { heartbeat: 60 })
  const origin = await listen(app)
  const deaf = new RawSocket((app.server.address() as AddressInfo).port, '/updates')
  const well = await connect(t, `${origin}/updates`)
  let pings = 0
  well.socket.on('ping', () => pings++)
  await deaf.ended()
  t.ok(deaf.frames.length >= 2)
  t.ok(deaf.frames.every(frame => frame.opcode === 9 && frame.payload.length === 0))
  await until(() => pings > deaf.frames.length + 2, 'further pings')
  const { record } = await app.changeStreams.people.create(ada)
  t.equal(await well.next(), saved(record))
})

t.test('closing the app closes every stream with 1001', async t => {
  const app = await build(t)
  const origin = await listen(app)
  const sockets = await Promise.all(Array.from({ length: 20 }, () => connect(t, `${origin}/updates`)))
  const stuck = new RawSocket((app.server.address() as AddressInfo).port, '/updates')
  await once(stuck.socket, 'data')
  const closing = performance.now()
  await app.close()
  for (const socket of sockets) t.equal((await socket.closed()).code, 1001)
  await stuck.ended()
  t.same(stuck.frames.map(frame => frame.payload.readUInt16BE(0)), [1001])
  t.ok(performance.now() - closing < 3000, 'also with a peer that does not close its end')
})

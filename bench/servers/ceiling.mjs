// Answers and frames made beforehand, written as fast as they are taken: what the load side can take is the limit.
// PER_WRITE frames go into one write. A GET that does not upgrade starts it.
import { createServer } from 'node:net'
import { announce } from './person.mjs'

const text = `Saved person [00000000-0000-4000-8000-000000000000] ${JSON.stringify({
  id: '00000000-0000-4000-8000-000000000000', firstName: 'Ada', lastName: 't=0000000000000000#000000000', age: 36, job: 'mathematician'
})}`
const frame = Buffer.concat([Buffer.from([0x81, 126, text.length >> 8, text.length & 255]), Buffer.from(text)])
const block = Buffer.concat(Array.from({ length: Number(process.env.PER_WRITE ?? 1) }, () => frame))
const body = text.slice(text.indexOf('{'))
const created = Buffer.from(`HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
const started = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
const switching = Buffer.from('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')

const subscribers = new Set()
const highWaterMark = 262_144

function pour () {
  for (const socket of subscribers) if (socket.writableLength < highWaterMark) socket.write(block)
  setImmediate(pour)
}

const server = createServer({ noDelay: true }, socket => {
  socket.on('error', () => {}).on('close', () => subscribers.delete(socket))
  socket.on('data', bytes => {
    if (bytes[0] === 0x50) return socket.write(created)
    if (!bytes.includes('Upgrade: websocket')) {
      socket.write(started)
      return pour()
    }
    socket.write(switching)
    subscribers.add(socket)
  })
})
server.listen(0, '127.0.0.1', () => announce(server))

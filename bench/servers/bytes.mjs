// Upgrades, then sends BYTES bytes in writes of 64 KiB: how fast a socket takes what a stream writes.
import { createServer } from 'node:net'
import { announce } from './person.mjs'

const payload = Buffer.alloc(65_536 - 10)
const header = Buffer.alloc(10)
header[0] = 0x82
header[1] = 127
header.writeBigUInt64BE(BigInt(payload.length), 2)
const block = Buffer.concat([header, payload])

const server = createServer({ noDelay: true }, socket => {
  let left = Number(process.env.BYTES)
  const pour = () => {
    while (left > 0) {
      left -= block.length
      if (!socket.write(block)) return socket.once('drain', pour)
    }
  }
  socket.on('error', () => {}).once('data', () => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
    pour()
  })
})
server.listen(0, '127.0.0.1', () => announce(server))

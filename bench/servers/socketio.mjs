// Socket.IO, WebSocket alone: an event to all for each change.
import { Server } from 'socket.io'
import { restServer } from './http.mjs'
import { announce } from './person.mjs'

const server = restServer(person => io.emit('saved', person))
const io = new Server(server, { transports: ['websocket'], pingInterval: 300_000, perMessageDeflate: false })
server.listen(0, '127.0.0.1', () => announce(server))

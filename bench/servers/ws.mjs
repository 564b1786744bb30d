// ws alone on node:http: the text is made and encoded once for all, then sent to each.
import { WebSocketServer } from 'ws'
import { restServer } from './http.mjs'
import { announce } from './person.mjs'

const server = restServer(person => {
  const text = Buffer.from(`Saved person [${person.id}] ${JSON.stringify(person)}`)
  for (const socket of sockets.clients) socket.send(text, { binary: false })
})
const sockets = new WebSocketServer({ server, path: '/updates' })
sockets.on('connection', socket => socket.on('error', () => {}))
server.listen(0, '127.0.0.1', () => announce(server))

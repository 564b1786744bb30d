import type { ServerMessage } from 'fastify-change-stream/protocol'

/** Keeps `people` as they are at `address`, `ws://localhost:3000/updates`, whatever becomes of the connection or the server. */
export function follow (address: string, people: Map<string, object>, cursor = 'now'): void {
  const socket = new WebSocket(`${address}?snapshot=true&since=${cursor}`, 'change-stream.v1')
  socket.onmessage = ({ data }) => {
    const message: ServerMessage = JSON.parse(data)
    if (message.type === 'reset' || (message.type === 'ready' && cursor === 'now')) people.clear()
    if ('records' in message) for (const person of message.records) people.set(person.id, person)
    if ('changes' in message) for (const change of message.changes) 'record' in change ? people.set(change.id, change.record) : people.delete(change.id)
    if (message.type === 'synced' || message.type === 'changes' || message.type === 'bookmark') cursor = message.cursor
  }
  let timer: ReturnType<typeof setTimeout>
  socket.onclose = socket.onerror = () => { // Node 22 tells of a refused connection by an error alone
    clearTimeout(timer)
    timer = setTimeout(follow, 1000, address, people, cursor)
  }
}

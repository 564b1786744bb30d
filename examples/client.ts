import type { ServerMessage } from 'fastify-change-stream/protocol'

const silence = 30_000 // twice the server's heartbeat, in milliseconds: who says nothing for so long is gone
const longestPause = 30_000

/**
 * Keeps `people` as they are at `address`, `ws://localhost:3000/updates`, whatever becomes of the connection or the server.
 * Ends where the server does not want this caller, and says so to `refused`: 401, log in and follow again; 403, you may not.
 */
export function follow (address: string, people: Map<string, object>, refused: (status: number) => void = console.error): void {
  let cursor = 'now'
  let failures = 0

  function connect (): void {
    const socket = new WebSocket(`${address}?snapshot=true&since=${cursor}`, 'change-stream.v1')
    socket.onmessage = ({ data }) => {
      const message: ServerMessage = JSON.parse(data)
      if (message.type === 'reset' || (message.type === 'ready' && cursor === 'now')) people.clear()
      if ('records' in message) for (const person of message.records) people.set(person.id, person)
      if ('changes' in message) for (const change of message.changes) 'record' in change ? people.set(change.id, change.record) : people.delete(change.id)
      if (message.type === 'synced' || message.type === 'changes' || message.type === 'bookmark') cursor = message.cursor
      alive(message)
    }
    socket.onclose = ({ code }) => lost(code)
    socket.onerror = () => lost() // Node 22 tells of a refused connection by an error alone
    let watchdog = setTimeout(lost, silence)
    let retryAfter: number | undefined

    function alive (message: ServerMessage): void {
      clearTimeout(watchdog)
      watchdog = setTimeout(lost, silence)
      if (message.type === 'synced') failures = 0
      if (message.type === 'bye') retryAfter = message.retryAfter
    }

    async function lost (code = 1006): Promise<void> {
      clearTimeout(watchdog)
      socket.onmessage = socket.onclose = socket.onerror = null
      socket.close()
      const status = code === 4401 || code === 4403 ? code - 4000 : failures > 0 ? await statusOf(address.replace(/^ws/, 'http')) : 0
      if (status === 401 || status === 403) return refused(status)
      setTimeout(connect, retryAfter ?? Math.random() * Math.min(longestPause, 1000 * 2 ** failures))
      failures++
    }
  }
  connect()
}

/** Why an upgrade fails is hidden from a page, so it asks the same address without one; 0: there is no answer. */
async function statusOf (address: string): Promise<number> {
  return await fetch(address, { signal: AbortSignal.timeout(silence) }).then(({ status }) => status, () => 0)
}

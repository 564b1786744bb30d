import type { ChangeMessage, ServerMessage } from 'fastify-change-stream/protocol'

const silence = 30_000 // twice the server's heartbeat, in milliseconds: who says nothing for so long is gone
const longestPause = 30_000
const events = ['ready', 'snapshot', 'synced', 'save', 'delete', 'leave', 'bookmark', 'reset', 'bye']

/**
 * What client.ts does, by server-sent events from `http://localhost:3000/updates`. An EventSource comes back by itself, but not where a
 * proxy has answered for a server that is away, and never later and later: so each is left at its first error, and another takes its place.
 */
export function follow (address: string, people: Map<string, object>, refused: (status: number) => void = console.error): void {
  let cursor = 'now'
  let failures = 0

  function connect (): void {
    const source = new EventSource(`${address}?snapshot=true&since=${cursor}`)
    let watchdog = setTimeout(lost, silence)
    let retryAfter: number | undefined
    const hear = ({ data, lastEventId }: MessageEvent<string>): void => {
      clearTimeout(watchdog)
      watchdog = setTimeout(lost, silence)
      const message: ServerMessage | ChangeMessage = JSON.parse(data)
      if ('op' in message) 'record' in message ? people.set(message.id, message.record) : people.delete(message.id)
      else if (message.type === 'reset' || (message.type === 'ready' && cursor === 'now')) people.clear()
      else if (message.type === 'snapshot') for (const person of message.records) people.set(person.id, person)
      else if (message.type === 'synced') failures = 0
      else if (message.type === 'bye') retryAfter = message.retryAfter
      cursor = lastEventId || 'now' // there is none before a snapshot is complete
    }
    for (const event of events) source.addEventListener(event, hear)
    source.onerror = lost

    async function lost (): Promise<void> {
      clearTimeout(watchdog)
      const gaveUp = source.readyState === 2 // the answer was another than 200; which, a page is not told
      source.onerror = null
      source.close()
      const status = gaveUp ? await statusOf(address) : 0
      if (status === 401 || status === 403) return refused(status)
      setTimeout(connect, retryAfter ?? Math.random() * Math.min(longestPause, 1000 * 2 ** failures))
      failures++
    }
  }
  connect()
}

/** What the same address answers without events; 0: there is no answer. */
async function statusOf (address: string): Promise<number> {
  return await fetch(address, { signal: AbortSignal.timeout(silence) }).then(({ status }) => status, () => 0)
}

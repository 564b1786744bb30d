import type { ChangeMessage, ServerMessage } from 'fastify-change-stream/protocol'

/** What client.ts does, by server-sent events from `http://localhost:3000/updates`: an EventSource comes back and resumes by itself. */
export function follow (address: string, people: Map<string, object>): void {
  const source = new EventSource(`${address}?snapshot=true`)
  source.addEventListener('ready', ({ lastEventId }) => { if (lastEventId === '') people.clear() })
  source.addEventListener('reset', () => people.clear())
  source.addEventListener('snapshot', ({ data }) => {
    const message: ServerMessage = JSON.parse(data)
    if ('records' in message) for (const person of message.records) people.set(person.id, person)
  })
  for (const op of ['save', 'delete', 'leave']) {
    source.addEventListener(op, ({ data }) => {
      const change: ChangeMessage = JSON.parse(data)
      'record' in change ? people.set(change.id, change.record) : people.delete(change.id)
    })
  }
}

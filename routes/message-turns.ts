import type { WebSocket } from 'ws'
import type { Reads } from '../stream/transfer.ts'

/** How many messages of each socket wait. */
const waiting = new WeakMap<WebSocket, number>()

/**
 * Calls `obey`, which acts on a message that has come: at once, or, where much is to be done, in slices of the event loop together with all else that is read, in the
 * order in which messages came. While one waits, its socket is not read from. Rejects with what `obey` throws.
 */
export async function takeInTurn (webSocket: WebSocket, reads: Reads, obey: () => void): Promise<void> {
  let state: 'waiting' | 'taken' = 'waiting'
  const turn = reads.run('message', () => {
    state = 'taken'
    obey()
  })
  if (state !== 'waiting') return await turn
  waiting.set(webSocket, (waiting.get(webSocket) ?? 0) + 1)
  webSocket.pause()
  try {
    await turn
  } finally {
    const left = (waiting.get(webSocket) ?? 1) - 1
    waiting.set(webSocket, left)
    if (left === 0) webSocket.resume()
  }
}

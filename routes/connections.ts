import type { ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { WebSocket } from 'ws'

/** The transports that are open, so that a shutdown can wait for them, and end what does not end by itself. */
export class Connections {
  readonly #open = new Set<WebSocket | ServerResponse>()
  #emptied: (() => void) | undefined

  add (connection: WebSocket | ServerResponse): void {
    this.#open.add(connection)
  }

  delete (connection: WebSocket | ServerResponse): void {
    this.#open.delete(connection)
    if (this.#open.size === 0) this.#emptied?.()
  }

  /** Resolves when all are closed; those that are still open after `grace` milliseconds are cut. */
  async end (grace: number): Promise<void> {
    if (this.#open.size === 0) return
    const emptied = new Promise<void>(resolve => { this.#emptied = resolve })
    const timer = new AbortController()
    await Promise.race([emptied, delay(grace, undefined, { signal: timer.signal }).catch(() => {})])
    timer.abort()
    for (const connection of this.#open) {
      if ('terminate' in connection) connection.terminate()
      else connection.destroy()
    }
  }
}

import type { ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { WebSocket } from 'ws'

/** The transports that are open, so that a shutdown can wait for them, and end what does not end by itself. */
export class Connections {
  readonly #open = new Set<WebSocket | ServerResponse>()
  #emptied: (() => void) | undefined
  /** How long one that comes during the shutdown has to close, milliseconds. */
  #grace: number | undefined

  add (connection: WebSocket | ServerResponse): void {
    this.#open.add(connection)
    if (this.#grace !== undefined) setTimeout(cut, this.#grace, connection).unref()
  }

  delete (connection: WebSocket | ServerResponse): void {
    this.#open.delete(connection)
    if (this.#open.size === 0) this.#emptied?.()
  }

  /** Resolves when all are closed; those that are still open after `grace` milliseconds are cut. */
  async end (grace: number): Promise<void> {
    this.#grace = grace
    if (this.#open.size === 0) return
    const emptied = new Promise<void>(resolve => { this.#emptied = resolve })
    const timer = new AbortController()
    await Promise.race([emptied, delay(grace, undefined, { signal: timer.signal }).catch(() => {})])
    timer.abort()
    for (const connection of this.#open) cut(connection)
  }
}

function cut (connection: WebSocket | ServerResponse): void {
  if ('terminate' in connection) connection.terminate()
  else connection.destroy()
}

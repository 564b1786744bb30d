import type { ServerResponse } from 'node:http'
import type { WebSocket } from 'ws'

export interface Grace {
  /** How long the peers of streams have to close their ends, and how long the peer of an answer may take nothing of it, milliseconds. */
  readonly peers: number
  /** How long an answer may take in all, milliseconds. */
  readonly answers: number
}

/** The transports that are open, so that a shutdown can wait for them, and end what does not end by itself. */
export class Connections {
  readonly #streams = new Set<WebSocket | ServerResponse>()
  readonly #answers = new Set<ServerResponse>()
  #emptied: (() => void) | undefined
  #grace: Grace | undefined
  #ended: Promise<void> | undefined

  /** A stream, until it is deleted. */
  add (stream: WebSocket | ServerResponse): void {
    this.#streams.add(stream)
    if (this.#grace) setTimeout(cut, this.#grace.peers, stream).unref()
  }

  delete (stream: WebSocket | ServerResponse): void {
    this.#streams.delete(stream)
    this.#changed()
  }

  /** An answer that may be large, until it is deleted. */
  addAnswer (response: ServerResponse): void {
    this.#answers.add(response)
    if (this.#grace) this.#limit(response, this.#grace)
  }

  deleteAnswer (response: ServerResponse): void {
    this.#answers.delete(response)
    this.#changed()
  }

  /**
   * Resolves when all are closed. Streams that are still open after `grace.peers` are cut, and so is an answer of which its peer takes nothing for as long,
   * or that is not through after `grace.answers`: Node itself would cut it as soon as its last byte was written to the socket, whatever of it has been sent.
   */
  end (grace: Grace): Promise<void> {
    this.#ended ??= this.#end(grace)
    return this.#ended
  }

  async #end (grace: Grace): Promise<void> {
    this.#grace = grace
    setTimeout(() => { for (const stream of this.#streams) cut(stream) }, grace.peers).unref()
    for (const response of this.#answers) this.#limit(response, grace)
    const last = Math.max(this.#streams.size > 0 ? grace.peers : 0, this.#answers.size > 0 ? grace.answers : 0)
    if (last === 0) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, last)
      this.#emptied = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #limit (response: ServerResponse, { peers, answers }: Grace): void {
    setTimeout(() => { if (this.#answers.has(response)) cut(response) }, answers).unref()
    response.setTimeout(peers, () => {
      if (response.headersSent) response.destroy()
      else response.setTimeout(peers) // it is still being read
    })
  }

  #changed (): void {
    if (this.#streams.size === 0 && this.#answers.size === 0) this.#emptied?.()
  }
}

function cut (connection: WebSocket | ServerResponse): void {
  if ('terminate' in connection) connection.terminate()
  else connection.destroy()
}

import { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Outlet } from '../stream/connection.ts'
import { payloadsOf, pingFrame } from '../stream/frame.ts'

const open = 1 // WebSocket.OPEN
const mostBuffered = 65_536

/** A WebSocket over a real socket: frames made once are written to it as they are, ws does the rest. */
export class SocketOutlet implements Outlet {
  readonly #webSocket: WebSocket
  readonly #socket: Socket
  readonly #highWaterMark: number

  /** @param highWaterMark bytes; a socket's own goes before a smaller one, as it decides when the socket says that it has drained */
  constructor (webSocket: WebSocket, socket: Socket, highWaterMark: number) {
    this.#webSocket = webSocket
    this.#socket = socket
    this.#highWaterMark = Math.max(highWaterMark, socket.writableHighWaterMark)
  }

  get blocked (): boolean {
    return this.#socket.writableLength >= this.#highWaterMark
  }

  write (bytes: Buffer): void {
    if (this.#webSocket.readyState === open) this.#socket.write(bytes)
  }

  ping (): boolean {
    this.write(pingFrame)
    return true
  }

  close (code: number, reason: string): void {
    this.#webSocket.close(code, reason)
  }

  destroy (): void {
    this.#webSocket.terminate()
  }
}

/** A WebSocket over any other stream, such as `injectWS` makes: ws frames what is sent. */
export class MessageOutlet implements Outlet {
  readonly #webSocket: WebSocket
  readonly #onDrain: () => void

  constructor (webSocket: WebSocket, onDrain: () => void) {
    this.#webSocket = webSocket
    this.#onDrain = onDrain
  }

  get blocked (): boolean {
    return this.#webSocket.bufferedAmount > mostBuffered
  }

  write (bytes: Buffer): void {
    if (this.#webSocket.readyState !== open) return
    for (const payload of payloadsOf(bytes)) this.#webSocket.send(payload, { binary: false, compress: false }, this.#onDrain)
  }

  ping (): boolean {
    if (this.#webSocket.readyState === open) this.#webSocket.ping()
    return true
  }

  close (code: number, reason: string): void {
    this.#webSocket.close(code, reason)
  }

  destroy (): void {
    this.#webSocket.terminate()
  }
}

/** A response that stays open: server-sent events, over HTTP/1.1 or HTTP/2. */
export class ResponseOutlet implements Outlet {
  readonly #response: ServerResponse
  /** What the last write said: over HTTP/2 a response tells in no other way that it is full. */
  #blocked = false

  constructor (response: ServerResponse) {
    this.#response = response
  }

  get blocked (): boolean {
    return this.#blocked
  }

  write (bytes: Buffer): void {
    if (!this.#response.write(bytes)) this.#blocked = true
  }

  /** The response takes bytes again. */
  drained (): void {
    this.#blocked = false
  }

  ping (): boolean {
    return false
  }

  close (): void {
    this.#response.end()
  }

  destroy (): void {
    this.#response.destroy()
  }
}

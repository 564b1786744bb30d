import { type Socket, connect } from 'node:net'
import { FrameCounter, type FrameReader } from './frames.ts'

export interface Address {
  readonly port: number
  readonly path: string
  readonly protocol?: string | undefined
  /** Text to send once open. */
  readonly hello?: string | undefined
  /** Frames that the server sends by itself before a change can come. */
  readonly greeting?: number | undefined
}

/** What one read may bring. All connections read into the same memory: it is used up before the next read. */
const chunk = Buffer.allocUnsafe(65_536)

/** Sockets from one address of this machine; each address has some 28,000 ports. */
const portsOfAddress = 5000

/** One WebSocket connection of which nothing is kept but numbers. */
export class Subscriber {
  readonly frames: FrameReader
  /** Frames counted before the measurement. */
  before = 0
  bytes = 0
  ended = false
  readonly #socket: Socket
  #head = ''
  #upgraded = false
  #onProgress: ((error?: Error) => void) | undefined

  constructor (index: number, { port, path, protocol }: Address, frames: FrameReader = new FrameCounter()) {
    this.frames = frames
    const localAddress = process.platform === 'linux' ? { localAddress: `127.0.0.${2 + Math.floor(index / portsOfAddress)}` } : {}
    this.#socket = connect({ port, host: '127.0.0.1', ...localAddress, onread: { buffer: chunk, callback: length => this.#read(length) } })
    this.#socket.setNoDelay(true)
    this.#socket.on('error', error => this.#end(error)).on('close', () => this.#end(new Error('the server closed a connection')))
    this.#socket.write([
      `GET ${path} HTTP/1.1`, 'Host: 127.0.0.1', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', ...protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`], '', ''
    ].join('\r\n'))
  }

  /** Resolves when changes can come. */
  async open ({ hello, greeting = 0 }: Address): Promise<void> {
    await this.until(() => this.#upgraded)
    if (hello !== undefined) this.#socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | hello.length, 0, 0, 0, 0]), Buffer.from(hello)]))
    await this.until(() => this.frames.count >= greeting)
  }

  async until (condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.ended) throw new Error('the server closed a connection')
      await new Promise<void>((resolve, reject) => { this.#onProgress = error => error ? reject(error) : resolve() })
    }
    this.#onProgress = undefined
  }

  get counted (): number {
    return this.frames.count - this.before
  }

  pause (): void {
    this.#socket.pause()
  }

  resume (): void {
    this.#socket.resume()
  }

  /** Ends with a reset, so that no port waits for stray packets. */
  close (): void {
    this.ended = true
    this.#onProgress = undefined
    this.#socket.resetAndDestroy()
  }

  #read (length: number): boolean {
    this.bytes += length
    if (this.#upgraded) this.frames.take(chunk, 0, length)
    else this.#shake(length)
    this.#onProgress?.()
    return true
  }

  #shake (length: number): void {
    const known = this.#head.length
    this.#head += chunk.toString('latin1', 0, length)
    const end = this.#head.indexOf('\r\n\r\n')
    if (end < 0) return
    if (!this.#head.startsWith('HTTP/1.1 101')) return this.#end(new Error(`no upgrade: ${this.#head}`))
    this.#upgraded = true
    this.frames.take(chunk, end + 4 - known, length)
    this.#head = ''
  }

  #end (error: Error): void {
    if (this.ended) return
    this.ended = true
    this.#onProgress?.(error)
  }
}

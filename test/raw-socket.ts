import { once } from 'node:events'
import { type Socket, connect } from 'node:net'

export interface Frame { readonly opcode: number, readonly payload: Buffer }

/** A WebSocket client that sees every byte: frames are kept as they come, also after a close frame. */
export class RawSocket {
  readonly socket: Socket
  readonly frames: Frame[] = []
  #bytes = Buffer.alloc(0)
  #upgraded = false
  #arrived: (() => void) | undefined

  constructor (port: number, path: string, headers: readonly string[] = []) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.write([
      `GET ${path} HTTP/1.1`, 'Host: localhost', 'Upgrade: websocket', 'Connection: Upgrade',
      'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', ...headers, '', ''
    ].join('\r\n'))
    this.socket.on('data', chunk => this.#read(chunk))
    this.socket.on('error', () => {})
    this.socket.on('close', () => this.#arrived?.())
  }

  /** Sends a masked frame, as a client must. */
  send (opcode: number, payload: string | Buffer): void {
    const bytes = Buffer.from(payload)
    const mask = Buffer.from([1, 2, 3, 4])
    this.socket.write(Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | bytes.length]), mask, bytes.map((byte, index) => byte ^ (mask[index % 4] ?? 0))]))
  }

  async has (condition: (frames: readonly Frame[]) => boolean): Promise<void> {
    while (!condition(this.frames)) {
      if (this.socket.destroyed) throw new Error('the connection has ended')
      await new Promise<void>(resolve => { this.#arrived = resolve })
    }
  }

  async ended (): Promise<void> {
    if (!this.socket.destroyed) await once(this.socket, 'close')
  }

  #read (chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    if (!this.#upgraded) {
      const end = this.#bytes.indexOf('\r\n\r\n')
      if (end < 0) return
      this.#upgraded = true
      this.#bytes = this.#bytes.subarray(end + 4)
    }
    for (let frame = this.#next(); frame; frame = this.#next()) this.frames.push(frame)
    this.#arrived?.()
  }

  #next (): Frame | null {
    const bytes = this.#bytes
    if (bytes.length < 2) return null
    const short = (bytes[1] ?? 0) & 0x7f
    const header = short < 126 ? 2 : short === 126 ? 4 : 10
    if (bytes.length < header) return null
    const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
    if (bytes.length < header + length) return null
    this.#bytes = bytes.subarray(header + length)
    return { opcode: (bytes[0] ?? 0) & 0x0f, payload: bytes.subarray(header, header + length) }
  }
}

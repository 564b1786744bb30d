import { isUtf8 } from 'node:buffer'
import { Finding, shown } from './finding.ts'

/** How a socket may end (RFC 6455, 7.4.1, and PROTOCOL.md, "The end"): 1011 is a fault of the server's. A client's own code comes back. */
const isCode = (code: number): boolean => (code >= 1000 && code <= 1014 && ![1004, 1005, 1006, 1011].includes(code)) || (code >= 3000 && code <= 4999)
const types = ['ready', 'snapshot', 'synced', 'changes', 'filtered', 'bookmark', 'reached', 'reset', 'error', 'bye']

/** Takes what a server sends on a WebSocket and throws a `Finding` at what no server may send. */
export class FrameJudge {
  readonly pongs: string[] = []
  closed = false
  readonly #isJson: () => boolean
  #bytes: Buffer = Buffer.alloc(0)

  /** @param isJson whether the server has agreed to frames of JSON */
  constructor (isJson: () => boolean) {
    this.#isJson = isJson
  }

  take (chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    for (let frame = this.#next(); frame; frame = this.#next()) this.#judge(frame.first, frame.payload)
  }

  #judge (first: number, payload: Buffer): void {
    if (this.closed) throw new Finding('a frame after the close', shown(payload, 200))
    const opcode = first & 0x0f
    if ((first & 0xf0) !== 0x80) throw new Finding('a frame with reserved bits, or in fragments', first.toString(16))
    if (opcode === 1) this.#judgeText(payload)
    else if (opcode === 8) this.#judgeClose(payload)
    else if (opcode === 10) this.pongs.push(payload.toString())
    else if (opcode !== 9) throw new Finding('a frame of an opcode that a server does not send', String(opcode))
  }

  #judgeText (payload: Buffer): void {
    if (!isUtf8(payload)) throw new Finding('a text frame that is no UTF-8', shown(payload, 200))
    const text = payload.toString()
    if (!this.#isJson()) {
      if (!/^(Saved|Deleted|Left) \S+ \[|^Error \[(gone|too-many)\] /.test(text)) throw new Finding('a text message that is none', shown(text, 200))
      return
    }
    let message: unknown
    try {
      message = JSON.parse(text)
    } catch {
      throw new Finding('a frame that is no JSON', shown(text, 300))
    }
    const type = typeof message === 'object' && message !== null && 'type' in message ? message.type : undefined
    if (typeof type !== 'string' || !types.includes(type)) throw new Finding('a message of no known type', shown(text, 200))
    if (type === 'error' && /"code":"(internal|unavailable)"/.test(text)) throw new Finding('an error that is the server\'s', shown(text, 200))
  }

  #judgeClose (payload: Buffer): void {
    this.closed = true
    if (payload.length === 0) return
    const code = payload.readUInt16BE(0)
    if (!isCode(code)) throw new Finding(`a close with ${code}`, shown(payload.subarray(2)))
    if (payload.length > 125 || !isUtf8(payload.subarray(2))) throw new Finding('a close frame that is none', shown(payload))
  }

  #next (): { first: number, payload: Buffer } | null {
    const bytes = this.#bytes
    if (bytes.length < 2) return null
    const second = bytes[1] as number
    if (second >= 0x80) throw new Finding('a masked frame from the server')
    const header = second < 126 ? 2 : second === 126 ? 4 : 10
    if (bytes.length < header) return null
    const length = second < 126 ? second : second === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
    if (bytes.length < header + length) return null
    this.#bytes = bytes.subarray(header + length)
    return { first: bytes[0] as number, payload: bytes.subarray(header, header + length) }
  }
}

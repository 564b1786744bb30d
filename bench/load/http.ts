import { type Socket, connect } from 'node:net'

/** One keep-alive connection that has one request under way at most. */
export class HttpConnection {
  readonly #socket: Socket
  #text = ''
  #onAnswer: ((status: number, body: string) => void) | undefined
  #onError: (error: Error) => void

  constructor (port: number, onError: (error: Error) => void) {
    this.#onError = onError
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.setEncoding('latin1')
    this.#socket.on('data', (text: string) => this.#read(text))
    this.#socket.on('error', error => this.#onError(error)).on('close', () => this.#onError(new Error('the server closed an HTTP connection')))
  }

  send (request: string, onAnswer: (status: number, body: string) => void): void {
    this.#onAnswer = onAnswer
    this.#socket.write(request, 'latin1')
  }

  close (): void {
    this.#onError = () => {}
    this.#socket.resetAndDestroy()
  }

  #read (text: string): void {
    this.#text = this.#text === '' ? text : this.#text + text
    const head = this.#text.indexOf('\r\n\r\n')
    if (head < 0) return
    const body = this.#text.slice(head + 4)
    const length = /\r\ncontent-length: *(\d+)/i.exec(this.#text)?.[1]
    if (length === undefined ? !body.endsWith('0\r\n\r\n') : body.length < Number(length)) return
    const status = Number(this.#text.slice(9, 12))
    const onAnswer = this.#onAnswer
    this.#text = ''
    this.#onAnswer = undefined
    onAnswer?.(status, body)
  }
}

export function request (method: string, path: string, body?: string): string {
  const head = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n`
  return body === undefined ? `${head}\r\n` : `${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

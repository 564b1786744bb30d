import type { Outlet } from '../../stream/connection.ts'
import type { Subscription } from '../../stream/subscription.ts'
import type { Listener, Peer, SocketReader } from './service.ts'

interface Injected {
  readonly reader: SocketReader
  /** Bytes that it takes while stalled before it blocks. */
  readonly capacity: number
  readonly listener: Listener
  readonly obey: (subscription: Subscription, text: string) => void
}

/** Both ends of a connection without a socket between them: it blocks when told to, and knows what comes too late. */
export class InjectedPeer implements Outlet, Peer {
  readonly #about: Injected
  readonly #unread: Buffer[] = []
  #subscription: Subscription | undefined
  #unreadBytes = 0
  #state: 'flowing' | 'stalled' | 'left' = 'flowing'
  /** The close code, once the server has ended it. */
  #ended: number | undefined

  constructor (about: Injected) {
    this.#about = about
  }

  attach (subscription: Subscription): this {
    this.#subscription = subscription
    return this
  }

  get blocked (): boolean {
    return this.#unreadBytes > this.#about.capacity
  }

  write (bytes: Buffer): void {
    if (this.#ended !== undefined || this.#state === 'left') throw new Error('written to after the end')
    if (this.#state === 'flowing') return this.#read(bytes)
    this.#unread.push(bytes)
    this.#unreadBytes += bytes.length
  }

  ping (): boolean {
    if (this.#about.reader === 'sse') return false
    queueMicrotask(() => this.#subscription?.alive())
    return true
  }

  close (code: number): void {
    if (this.#ended !== undefined) throw new Error('closed twice')
    this.#ended = this.#about.reader === 'sse' ? 1000 : code
    if (this.#state === 'flowing') this.#about.listener.ended(this.#ended)
  }

  destroy (): void {
    this.#ended ??= 1006
    this.#about.listener.ended(this.#ended)
  }

  async send (text: string): Promise<void> {
    if (this.#subscription && this.#state !== 'left' && this.#ended === undefined) this.#about.obey(this.#subscription, text)
  }

  stall (): void {
    if (this.#state === 'flowing') this.#state = 'stalled'
  }

  flow (): void {
    if (this.#state !== 'stalled') return
    this.#state = 'flowing'
    this.#unreadBytes = 0
    for (const bytes of this.#unread.splice(0)) this.#read(bytes)
    if (this.#ended !== undefined) this.#about.listener.ended(this.#ended)
    else this.#subscription?.drained()
  }

  async leave (): Promise<void> {
    if (this.#state === 'left') return
    this.#state = 'left'
    this.#subscription?.close()
    if (this.#ended === undefined) this.#about.listener.ended(1006)
  }

  #read (bytes: Buffer): void {
    if (this.#about.reader === 'sse') {
      for (const block of bytes.toString().split('\n\n').slice(0, -1)) this.#about.listener.message(block)
      return
    }
    for (let start = 0; start < bytes.length;) {
      if (bytes[start] !== 0x81) throw new Error('not a text frame')
      const short = bytes[start + 1] ?? 0
      const header = short < 126 ? 2 : short === 126 ? 4 : 10
      const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(start + 2) : Number(bytes.readBigUInt64BE(start + 2))
      this.#about.listener.message(bytes.toString('utf8', start + header, start + header + length))
      start += header + length
    }
  }
}

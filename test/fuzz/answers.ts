import { Finding, shown } from './finding.ts'

/** One HTTP answer. `body` is whole where it has a length; of a stream it is empty. */
export interface Answer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** Reads the answers on one connection, one behind the other, as their bytes come. */
export class AnswerReader {
  readonly answers: Answer[] = []
  /** `stream`: the last answer goes on for as long as the connection; `upgraded`: what comes now are frames, in `rest`. */
  state: 'head' | 'length' | 'chunked' | 'until-close' | 'stream' | 'upgraded' = 'head'
  rest: Buffer = Buffer.alloc(0)
  #head: Omit<Answer, 'body'> = { status: 0, headers: new Map() }
  #wanted = 0
  #body: Buffer[] = []

  take (chunk: Buffer): void {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    while (this.#step());
  }

  /** The peer has closed. Node refuses a HEAD that it does not take without a length, and goes on reading. */
  end (): void {
    while (this.state === 'until-close') {
      const isNext = this.rest.toString('latin1', 0, 9) === 'HTTP/1.1 '
      this.#answer(isNext ? Buffer.alloc(0) : this.rest)
      if (isNext) this.take(Buffer.alloc(0))
    }
  }

  #step (): boolean {
    switch (this.state) {
      case 'head': return this.#readHead()
      case 'length': return this.#readLength()
      case 'chunked': return this.#readChunk()
      default: return false
    }
  }

  #readHead (): boolean {
    const end = this.rest.indexOf('\r\n\r\n')
    if (end < 0) return false
    const [line = '', ...lines] = this.rest.toString('latin1', 0, end).split('\r\n')
    const status = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(line)?.[1])
    if (!status) throw new Finding('an answer that is no HTTP', shown(this.rest.subarray(0, 200)))
    const headers = new Map<string, string>()
    for (const each of lines) {
      const [, name = '', value = ''] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)$/.exec(each) ?? []
      if (name === '') throw new Finding('a header line of an answer that is none', shown(each))
      const key = name.toLowerCase()
      headers.set(key, headers.has(key) ? `${headers.get(key)}, ${value}` : value)
    }
    this.rest = this.rest.subarray(end + 4)
    this.#head = { status, headers }
    this.#begin(status, headers)
    return true
  }

  #begin (status: number, headers: ReadonlyMap<string, string>): void {
    const length = headers.get('content-length')
    if (status === 101) this.#answer(Buffer.alloc(0), 'upgraded')
    else if (status < 200) this.state = 'head' // 100 Continue
    else if (headers.get('content-type')?.startsWith('text/event-stream')) this.#answer(Buffer.alloc(0), 'stream')
    else if (status === 204 || status === 304) this.#answer(Buffer.alloc(0))
    else if (length !== undefined) {
      this.#wanted = Number(length)
      this.state = 'length'
    } else this.state = headers.get('transfer-encoding') === 'chunked' ? 'chunked' : 'until-close'
  }

  /** An answer to a HEAD tells the length of what it does not have. */
  #readLength (): boolean {
    const next = this.rest.toString('latin1', 0, 9)
    if (this.#wanted > 0 && (this.#bodiless || next.startsWith('HTTP/1.1 '))) this.#answer(Buffer.alloc(0))
    else if (this.rest.length < this.#wanted) return false
    else {
      const body = this.rest.subarray(0, this.#wanted)
      this.rest = this.rest.subarray(this.#wanted)
      this.#answer(body)
    }
    return true
  }

  /** Whether the answer that is being read is to a HEAD: the sender knows. */
  isHead: (index: number) => boolean = () => false

  get #bodiless (): boolean {
    return this.isHead(this.answers.length)
  }

  #readChunk (): boolean {
    if (this.#bodiless) {
      this.#answer(Buffer.alloc(0))
      return true
    }
    const end = this.rest.indexOf('\r\n')
    if (end < 0) return false
    const size = parseInt(this.rest.toString('latin1', 0, end), 16)
    if (this.rest.length < end + 4 + size) return false
    this.#body.push(this.rest.subarray(end + 2, end + 2 + size))
    this.rest = this.rest.subarray(end + 4 + size)
    if (size === 0) this.#answer(Buffer.concat(this.#body))
    return true
  }

  #answer (body: Buffer, state: AnswerReader['state'] = 'head'): void {
    this.answers.push({ ...this.#head, body: body.toString() })
    this.#body = []
    this.state = state
  }
}

/** What Node refuses before any app sees it, without a body. */
const nodesOwn = [400, 408, 413, 417, 431]
const busy = /^urn:problem:change-stream:(overloaded|unavailable)$/

/**
 * Whether an answer is one that the contract has: no 5xx but a 503 that says when to come back, every refusal a problem
 * (RFC 9457), every JSON parses.
 * @param mayBeBusy whether a 503 is documented for what was asked
 */
export function judgeAnswer ({ status, headers, body }: Answer, mayBeBusy: boolean): void {
  const type = headers.get('content-type') ?? ''
  const about = `${status} ${type} ${shown(body, 300)}`
  if (status >= 500 && status !== 503) throw new Finding(`a ${status}`, about)
  if (headers.has('x-app') || status === 101) return
  if (status >= 400 && body === '' && (headers.get('connection') === 'close' || status === 417) && nodesOwn.includes(status)) return
  if (/json/.test(type) && body !== '') judgeJson(body, about)
  if (status < 400 || (body === '' && /problem/.test(type))) return // the second answers a HEAD
  if (!/^application\/problem\+json\b/.test(type)) throw new Finding('a refusal that is no problem', about)
  const problem = judgeJson(body, about) as Record<string, unknown>
  const isProblem = ['type', 'title', 'detail'].every(name => typeof problem[name] === 'string') && problem['status'] === status
  if (!isProblem) throw new Finding('a problem without its members', about)
  if (status === 503 && !(mayBeBusy && headers.has('retry-after') && busy.test(String(problem['type'])))) throw new Finding('a 503 that is not documented', about)
}

function judgeJson (body: string, about: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw new Finding('an answer that is no JSON', about)
  }
}

import { once } from 'node:events'
import { copyFileSync, renameSync } from 'node:fs'
import { type IncomingMessage, get } from 'node:http'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import changeStream from '../../plugin/index.ts'
import { subprotocol } from '../../protocol/index.ts'
import { sqlite } from '../../repository/sqlite.ts'
import { Inbox, listen, request, sqliteOptions } from '../helper.ts'

/** What a subscriber gets, line by line or message by message. */
interface Source { next (): Promise<string>, close (): void }

const names = /[0-9a-f]{8}-[0-9a-f-]{27}|[\w-]{12}(?=\.\d)/g
const varying = [[/"at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/g, '"at":"…"'], [/"retryAfter":\d+/g, '"retryAfter":0']] as const

/** Plays a dialogue of PROTOCOL.md against a real server, line by line; ids and epochs are given names as they turn up. */
export class Dialogue {
  readonly #t: Test
  readonly #options: ReturnType<typeof sqliteOptions>
  readonly #heartbeat: number
  /** The server's ids and epochs, by those of the page. */
  readonly #actual = new Map<string, string>()
  #app: FastifyInstance | undefined
  #origin = ''
  #source: Source | undefined
  #inbox: Inbox | undefined

  constructor (t: Test, text: string) {
    this.#t = t
    this.#options = sqliteOptions(t)
    this.#heartbeat = text.includes('"bookmark"') ? 100 : 15_000
    t.teardown(() => {
      this.#source?.close()
      return this.#app?.close()
    })
  }

  async play (line: string): Promise<void> {
    const actual = line.startsWith('<') ? line : line.replace(names, name => this.#actual.get(name) ?? name)
    const [, verb = '', path = '', rest = ''] = /^(\S+) ?(\S*) ?(.*)$/.exec(actual) ?? []
    if (this.#app === undefined) await this.#start()
    if (verb === '<') return await this.#expect(line.slice(2))
    if (verb === '>') return this.#inbox?.send(actual.slice(2))
    if (verb === 'connect') return await this.#connect(path, rest)
    if (verb === 'GET') return await this.#page(path)
    if (verb === 'close') return await this.#closed(Number(path))
    if (line.startsWith('(')) return await this.#happen(line)
    const { status } = await request(`${this.#origin}${path}`, verb, rest === '' ? undefined : rest)
    this.#t.ok(status < 300, line)
  }

  async #expect (expected: string): Promise<void> {
    let actual = await this.#source?.next() ?? ''
    while (actual.includes('"bookmark"') && !expected.includes('"bookmark"')) actual = await this.#source?.next() ?? ''
    const found = actual.match(names) ?? []
    for (const [index, name] of (expected.match(names) ?? []).entries()) {
      if (!this.#actual.has(name)) this.#actual.set(name, found[index] ?? '')
    }
    let wanted = expected.replace(names, name => this.#actual.get(name) ?? name)
    for (const [pattern, text] of varying) [actual, wanted] = [actual.replace(pattern, text), wanted.replace(pattern, text)]
    this.#t.equal(actual, wanted)
  }

  async #closed (code: number): Promise<void> {
    this.#t.equal((await this.#inbox?.closed())?.code, code)
    this.#t.same(this.#inbox?.left(), [], 'and nothing else was sent')
  }

  async #connect (path: string, how: string): Promise<void> {
    const url = this.#origin + encodeURI(path).replaceAll('%25', '%')
    if (how === 'as events') {
      const client = get(url, { headers: { accept: 'text/event-stream' } })
      const [response] = await once(client, 'response') as [IncomingMessage]
      this.#source = linesOf(response, () => client.destroy())
      return
    }
    const inbox = new Inbox(url, how === 'as text' ? undefined : subprotocol)
    this.#inbox = inbox
    this.#source = { next: () => inbox.next(), close: () => inbox.socket.terminate() }
    await inbox.open()
  }

  async #page (path: string): Promise<void> {
    const { text } = await request(this.#origin + path)
    this.#source = { next: async () => text, close: () => {} }
  }

  async #happen (line: string): Promise<void> {
    const { file } = this.#options
    switch (line) {
      case '(the connection is lost)': return this.#source?.close()
      case '(the server is stopped)': {
        this.#app?.close().catch(this.#t.error)
        return
      }
      case '(the server is started)': return await this.#start()
      case '(the database is copied)':
        await this.#app?.close()
        return copyFileSync(file, `${file}.copy`)
      case '(the database is restored from the copy)':
        await this.#app?.close()
        return renameSync(`${file}.copy`, file)
      default: throw new Error(`nobody knows how: ${line}`)
    }
  }

  async #start (): Promise<void> {
    await this.#app?.close()
    this.#app = Fastify()
    await this.#app.register(changeStream, { repository: sqlite(this.#options), heartbeat: this.#heartbeat })
    this.#origin = await listen(this.#app)
  }
}

function linesOf (response: IncomingMessage, close: () => void): Source {
  let text = ''
  response.setEncoding('utf8').on('data', chunk => { text += chunk }).on('error', () => {})
  return {
    close,
    next: async () => {
      while (!text.includes('\n')) await once(response, 'data')
      const line = text.slice(0, text.indexOf('\n'))
      text = text.slice(line.length + 1)
      return line
    }
  }
}

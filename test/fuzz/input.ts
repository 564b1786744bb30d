import type { Random } from '../model/random.ts'
import type { Connection } from '../../repository/sqlite/driver.ts'
import { judgeAnswer } from './answers.ts'
import { type Exchange, exchange } from './exchange.ts'
import { shown } from './finding.ts'
import type { Fuzzed } from './resources.ts'

/** What inputs are aimed at. */
export interface Target {
  readonly port: number
  readonly resources: readonly Fuzzed[]
  /** The epochs of the resources' logs, and the newest position when the server had been filled. */
  readonly epochs: ReadonlyMap<string, string>
  /** The server's database file, opened beside it. */
  readonly database: Connection | null
  /** How much has been written by inputs, at least. */
  readonly written: { bytes: number }
}

export interface Input {
  /** For people. */
  readonly text: string
  /** @throws {Finding} where it is not taken as the contract says */
  play (target: Target): Promise<void>
}

/** A kind of input. What it makes depends on chance and nothing else but the target's names. */
export interface Family {
  readonly name: string
  /** How much it gets of all inputs. */
  readonly weight: number
  /** Inputs at work at once. */
  readonly concurrency: number
  /** Whether it writes to the database beside the server. */
  readonly needsDatabase?: boolean
  make (random: Random, target: Target): Input
}

/** An input that is the bytes of one connection. */
export function wireInput (port: number, sent: Omit<Exchange, 'port'> & { readonly mayBeBusy?: boolean }): Input {
  const { mayBeBusy = false, pieces, until } = sent
  const writes = pieces.length > 1 ? `${pieces.length} writes, ` : ''
  return {
    get text () {
      return `${writes}${Buffer.concat(pieces as Buffer[]).length} bytes, until ${until}: ${shown(Buffer.concat(pieces as Buffer[]))}`
    },
    async play ({ written }) {
      const { answers } = await exchange({ ...sent, port })
      for (const { headers, body, status } of answers) if (status === 201 || headers.has('etag')) written.bytes += body.length
      for (const answer of answers) judgeAnswer(answer, mayBeBusy)
    }
  }
}

/** Bytes in one write mostly, else in a few, else one by one. */
export function inPieces (random: Random, bytes: Buffer): Buffer[] {
  if (bytes.length < 2 || random.chance(0.85)) return [bytes]
  if (bytes.length < 3000 && random.chance(0.2)) return Array.from(bytes, byte => Buffer.from([byte]))
  const pieces: Buffer[] = []
  const most = Math.max(2, Math.ceil(bytes.length / random.between(2, 6)))
  for (let at = 0; at < bytes.length;) {
    const end = at + random.between(1, most)
    pieces.push(bytes.subarray(at, end))
    at = end
  }
  return pieces
}

/** `bytes` with a few of them flipped, left out, doubled or put in. */
export function mutated (random: Random, bytes: Buffer): Buffer {
  let result: Buffer = bytes
  for (let count = random.between(1, 4); count > 0; count--) {
    const at = random.below(result.length + 1)
    const end = Math.min(result.length, at + random.pick([1, 1, 2, 8, 50]))
    const middle = random.pick<() => Buffer>([
      () => Buffer.alloc(0),
      () => Buffer.from(random.pick(['\r\n', '\n', '\r', '\0', ' ', '\t', ':', '?', '&', '%', '"', '\r\n\r\n', '0\r\n\r\n', '\xff', ';', ',', 'HTTP/1.1'] as const), 'latin1'),
      () => Buffer.from([random.below(256)]),
      () => Buffer.concat([result.subarray(at, end), result.subarray(at, end)])
    ])()
    result = Buffer.concat([result.subarray(0, at), middle, result.subarray(end)])
  }
  return result
}

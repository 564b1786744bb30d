import type { Random } from '../model/random.ts'
import { lastPing } from './exchange.ts'
import { type Family, type Input, type Target, inPieces, wireInput } from './input.ts'
import { streamQuery } from './queries.ts'
import { head } from './requests.ts'
import type { Fuzzed } from './resources.ts'
import { text } from './values.ts'

export interface Shape {
  readonly final?: boolean
  readonly reserved?: number
  readonly masked?: boolean
  /** Bytes that the length takes, where not the fewest. */
  readonly lengthIn?: 1 | 2 | 8
  /** What the length says, where it is not the payload's. */
  readonly says?: bigint
}

/** A frame of a client, or of what would be one (RFC 6455, 5.2). */
export function frame (opcode: number, payload: Buffer | string, { final = true, reserved = 0, masked = true, lengthIn, says }: Shape = {}): Buffer {
  const bytes = Buffer.from(payload)
  const length = says ?? BigInt(bytes.length)
  const size = lengthIn ?? (length < 126n ? 1 : length < 65_536n ? 2 : 8)
  const header = Buffer.alloc(size === 1 ? 2 : size === 2 ? 4 : 10)
  header[0] = (final ? 0x80 : 0) | reserved << 4 | opcode
  header[1] = (masked ? 0x80 : 0) | (size === 1 ? Number(length & 0x7fn) : size === 2 ? 126 : 127)
  if (size === 2) header.writeUInt16BE(Number(length & 0xffffn), 2)
  if (size === 8) header.writeBigUInt64BE(BigInt.asUintN(64, length), 2)
  if (!masked) return Buffer.concat([header, bytes])
  if (bytes.length > 1000) return Buffer.concat([header, Buffer.alloc(4), bytes]) // a mask of zeros, which costs nothing
  const mask = [0x11, 0, 0xf3, 0x7a]
  return Buffer.concat([header, Buffer.from(mask), bytes.map((byte, index) => byte ^ (mask[index % 4] ?? 0))])
}

/** The handshake of a socket on a resource. */
export function handshake (at: string, json: boolean): Buffer {
  return head('GET', at, [
    ['Upgrade', 'websocket'], ['Connection', 'Upgrade'], ['Sec-WebSocket-Version', '13'], ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ...json ? [['Sec-WebSocket-Protocol', 'change-stream.v1'] as const] : []
  ])
}

/** A connection on which `frames` are sent, then a ping whose pong says that they have been read, unless the connection is over by then. */
export function framesInput (random: Random, { port, epochs }: Target, resource: Fuzzed, json: boolean, frames: readonly Buffer[], whole: boolean): Input {
  const query = random.chance(0.6) ? random.pick(['', '', '?filter=saves', ...json ? ['?snapshot=true'] : []]) : streamQuery(random, resource, epochs.get(resource.name) ?? '')
  const until = random.chance(0.05) ? 'reset' : whole ? 'pong' : 'half-close'
  const all = Buffer.concat([...frames, ...whole ? [frame(9, lastPing)] : []])
  return wireInput(port, { pieces: [handshake(resource.updates + query, json), ...inPieces(random, all)], until, patient: random.chance(0.7), mayBeBusy: true })
}

function payload (random: Random): Buffer {
  return random.pick<() => Buffer>([
    () => Buffer.from(random.pick(['saves', 'deletes', 'all', ' ALL\n', 'x', '', '{"type":"filter"}', '{}', '[]'])),
    () => Buffer.from(text(random)),
    () => Buffer.from([0xff, 0xc0, 0x80]),
    () => Buffer.from([random.below(256)]),
    () => Buffer.alloc(random.pick([125, 126, 127, 1000, 16_383, 16_384, 16_385, 65_535, 65_536, 200_000]), random.pick(['x', ' ', '[', '\xff'])),
    () => Buffer.from(Array.from({ length: random.below(20) }, () => random.below(256)))
  ])()
}

const closeCodes = [0, 1, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1012, 1014, 1015, 1016, 2999, 3000, 3999, 4000, 4410, 4999, 5000, 65_535]

function closing (random: Random): Buffer {
  const code = Buffer.alloc(2)
  code.writeUInt16BE(random.pick(closeCodes))
  return frame(8, random.chance(0.2) ? Buffer.from(random.pick(['', '\x03'])) : Buffer.concat([code, random.chance(0.5) ? payload(random).subarray(0, 123) : Buffer.alloc(0)]))
}

function oneFrame (random: Random): Buffer[] {
  return random.pick<() => Buffer[]>([
    () => [frame(1, payload(random))],
    () => [frame(2, payload(random))],
    () => [frame(random.below(16), payload(random))],
    () => [frame(9, payload(random).subarray(0, 125)), frame(10, payload(random).subarray(0, 125))],
    () => Array.from({ length: random.between(2, 300) }, () => frame(random.pick([9, 10]), random.pick(['', 'x', 'x'.repeat(125)]))),
    () => [frame(random.pick([8, 9, 10]), 'x'.repeat(126))],
    () => [frame(random.pick([8, 9, 10]), 'x', { final: false })],
    () => [frame(random.pick([1, 2]), payload(random), { final: false }), frame(9, ''), frame(0, payload(random))],
    () => [frame(1, payload(random), { final: false }), ...Array.from({ length: random.pick([1, 10, 2000]) }, () => frame(0, random.pick(['', 'x']), { final: false })), frame(0, '')],
    () => [frame(0, payload(random))],
    () => [frame(1, 'a', { final: false }), frame(1, 'b')],
    () => [frame(1, payload(random), { reserved: random.between(1, 7) })],
    () => [frame(1, payload(random), { masked: false })],
    () => [frame(1, 'saves', { lengthIn: random.pick([2, 8]) })],
    () => [closing(random), ...random.chance(0.3) ? [frame(1, 'saves')] : []]
  ])()
}

/** Frames of every opcode, whole ones and others. */
export const frames: Family = {
  name: 'frames',
  weight: 3,
  concurrency: 24,
  make (random, target) {
    const sent = Array.from({ length: random.between(1, 5) }, () => oneFrame(random)).flat()
    const dice = random.next()
    if (dice < 0.1) sent.push(frame(random.pick([1, 2, 9]), payload(random), { says: random.pick([1n, 20_000n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) }))
    else if (dice < 0.2) sent.push(frame(1, 'a message that is cut').subarray(0, random.below(20)))
    return framesInput(random, target, random.pick(target.resources), random.chance(0.6), sent, dice >= 0.2)
  }
}

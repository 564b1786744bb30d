import type { Random } from '../model/random.ts'
import { type Family, inPieces, mutated, wireInput } from './input.ts'
import { head, target } from './requests.ts'

const upgrades = ['websocket', 'WebSocket', 'WEBSOCKET', 'websocket, h2c', 'h2c', 'TLS/1.0', 'x', '', 'websocket/13', ' websocket ']
const connections = ['Upgrade', 'upgrade', 'keep-alive, Upgrade', 'close, Upgrade', 'close', 'keep-alive', '']
const versions = ['13', '8', '0', '14', '', '13, 8', 'x', '-1']
const keys = ['dGhlIHNhbXBsZSBub25jZQ==', '', 'x', 'dGhlIHNhbXBsZSBub25jZQ', 'AAAA', `${'A'.repeat(24)}`, 'é', 'x'.repeat(3000)]
const protocols = ['change-stream.v1', 'change-stream.v1, other', 'other', 'Change-Stream.V1', 'bearer.eA', 'change-stream.v1, bearer.eA', 'change-stream.v1,change-stream.v1', '', ',', 'a b', 'x'.repeat(3000)]
const extensions = ['permessage-deflate', 'permessage-deflate; client_max_window_bits', 'permessage-deflate; server_max_window_bits=8', 'permessage-deflate; server_max_window_bits=99', 'permessage-deflate; x', 'x', '', ';', 'permessage-deflate;'.repeat(100)]

/** `value` mostly, else one of `others`, else nothing. */
function header (random: Random, name: string, value: string | null, others: readonly string[]): [string, string][] {
  const dice = random.next()
  if (dice < 0.8) return value === null ? [] : [[name, value]]
  if (dice < 0.83) return []
  if (dice < 0.86 && value !== null) return [[name, value], [name, random.pick(others)]]
  return [[name, random.pick(others)]]
}

/** Asks for upgrades, whole: each is answered, with 101 or a refusal, and its socket comes back. */
export const upgrade: Family = {
  name: 'upgrades',
  weight: 4,
  concurrency: 32,
  make (random, { port, resources, epochs }) {
    const resource = random.pick(resources)
    const method = random.chance(0.75) ? 'GET' : random.pick(['POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'QUERY'])
    const kind = random.chance(0.8) ? 'stream' : random.pick(['list', 'record'] as const)
    const fields = [
      ...header(random, 'Upgrade', 'websocket', upgrades),
      ...header(random, 'Connection', 'Upgrade', connections),
      ...header(random, 'Sec-WebSocket-Version', '13', versions),
      ...header(random, 'Sec-WebSocket-Key', keys[0] ?? '', keys),
      ...header(random, 'Sec-WebSocket-Protocol', random.chance(0.5) ? 'change-stream.v1' : null, protocols),
      ...header(random, 'Sec-WebSocket-Extensions', null, extensions),
      ...header(random, 'Accept', null, ['text/event-stream', 'application/json', 'text/html']),
      ...header(random, 'Origin', null, ['http://x', 'null', '']),
      ...header(random, 'HTTP2-Settings', null, ['AAMAAABkAARAAAAAAAIAAAAA', '']),
      ...header(random, 'Content-Length', null, ['0'])
    ]
    const start = head(method, target(random, { resource, epoch: epochs.get(resource.name) ?? '' }, kind), fields, { version: random.chance(0.97) ? '1.1' : '1.0' })
    const behind = random.chance(0.1) ? Buffer.from(random.pick(['\x81\x85\0\0\0\0saves', '\x88\x80\0\0\0\0', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'x'.repeat(70_000)]), 'latin1') : Buffer.alloc(0)
    const whole = Buffer.concat([start, behind])
    const dice = random.next()
    const bytes = dice < 0.1 ? mutated(random, whole) : dice < 0.2 ? whole.subarray(0, random.below(whole.length)) : whole
    const isWhole = bytes === whole && /^[\x21-\x7e]+$/.test(start.toString('latin1').split(' ')[1] ?? '')
    return wireInput(port, {
      pieces: inPieces(random, bytes),
      until: random.chance(0.1) ? 'reset' : isWhole ? 1 : 'half-close',
      isHead: () => method === 'HEAD',
      mayBeBusy: true
    })
  }
}

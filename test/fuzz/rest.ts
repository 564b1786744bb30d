import { type Family, inPieces, wireInput } from './input.ts'
import { anyRequest, wholeRequest } from './requests.ts'

/** Requests that HTTP allows: each must be answered. Up to eight are sent at once on a connection. */
export const rest: Family = {
  name: 'rest',
  weight: 8,
  concurrency: 16,
  make (random, { port, resources, epochs }) {
    const requests = Array.from({ length: random.chance(0.9) ? 1 : random.between(2, 8) }, () => {
      const resource = random.pick(resources)
      return wholeRequest(random, { resource, epoch: epochs.get(resource.name) ?? '' })
    })
    return wireInput(port, {
      pieces: inPieces(random, Buffer.concat(requests.map(({ bytes }) => bytes))),
      until: requests.length,
      isHead: index => requests[index]?.method === 'HEAD',
      mayBeBusy: requests.some(({ method }) => method === 'GET' || method === 'HEAD')
    })
  }
}

/** Requests that HTTP forbids, or halves of one: answered or not, nobody is hurt. */
export const malformed: Family = {
  name: 'malformed',
  weight: 4,
  concurrency: 32,
  make (random, { port, resources, epochs }) {
    const requests = Array.from({ length: random.chance(0.8) ? 1 : random.between(2, 4) }, () => {
      const resource = random.pick(resources)
      return anyRequest(random, { resource, epoch: epochs.get(resource.name) ?? '' })
    })
    return wireInput(port, {
      pieces: inPieces(random, Buffer.concat(requests.map(({ bytes }) => bytes))),
      until: random.chance(0.3) ? 'reset' : 'half-close',
      isHead: index => requests[index]?.method === 'HEAD',
      mayBeBusy: true
    })
  }
}

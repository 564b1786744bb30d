import type { Random } from '../model/random.ts'
import { frame, framesInput } from './frames.ts'
import { type Family, wireInput } from './input.ts'
import { cursor, streamQuery, where, whereText } from './queries.ts'
import { head } from './requests.ts'
import type { Fuzzed } from './resources.ts'
import { anything, broken, deepText, scalar, spelled, text } from './values.ts'

/** A message of a JSON client, mostly one that is taken. */
function message (random: Random, resource: Fuzzed, epoch: string): string {
  const dice = random.next()
  if (dice < 0.5) return filter(random, resource)
  if (dice < 0.6) return spelled(random, { type: random.pick(['stop', 'await', 'authenticate', 'filter', 'toString', '__proto__', '']), cursor: cursor(random, epoch), token: text(random), [text(random)]: scalar(random) })
  if (dice < 0.7) return spelled(random, { type: 'await', cursor: cursor(random, epoch) })
  if (dice < 0.75) return spelled(random, anything(random))
  if (dice < 0.8) return broken(random, { type: 'filter', where: where(random, resource) })
  if (dice < 0.92) return deepMessage(random)
  return spelled(random, { type: random.chance(0.5) ? anything(random) : 'filter', filter: scalar(random), where: anything(random), fields: anything(random) })
}

function filter (random: Random, resource: Fuzzed): string {
  const parts = ['"type":"filter"']
  if (random.chance(0.4)) parts.push(`"filter":${JSON.stringify(random.pick(['all', 'saves', 'deletes', null, 'ALL', 1]))}`)
  if (random.chance(0.6)) parts.push(`"where":${random.chance(0.1) ? 'null' : whereText(random, resource)}`)
  if (random.chance(0.4)) parts.push(`"fields":${spelled(random, random.pick<() => unknown>([() => null, () => [random.pick(resource.paths)], () => resource.paths, () => ['a,b'], () => anything(random)])())}`)
  return `{${parts.join()}}`
}

function deepMessage (random: Random): string {
  const deep = deepText(random, '1', 16_300)
  return random.pick([`{"type":${deep}}`, `{"type":${deep}}`, `{"type":"filter","where":${deep}}`, `{"type":"filter","fields":[${deep}]}`, `{"type":"filter","filter":${deep}}`, `{"type":"await","cursor":${deep}}`, deep, `{"type":"stop","x":${deep}}`])
}

const commands = ['saves', 'deletes', 'all', 'SAVES', ' deletes ', 'stop', 'Stop\n', '', '{}', 'stop stop', '\ufeffsaves']

/** What clients say: filters, commands, floods of both, and what is none. */
export const messages: Family = {
  name: 'messages',
  weight: 4,
  concurrency: 16,
  make (random, target) {
    const resource = random.pick(target.resources)
    const epoch = target.epochs.get(resource.name) ?? ''
    const json = random.chance(0.8)
    const one = (): string => json ? message(random, resource, epoch) : random.chance(0.7) ? random.pick(commands) : text(random)
    const flood = random.chance(0.1)
    const repeated = one()
    const count = flood ? random.pick([50, 100, 300]) : random.between(1, 6)
    const sent = Array.from({ length: count }, () => frame(1, flood && random.chance(0.5) ? repeated : flood ? filter(random, resource) : one()))
    return framesInput(random, target, resource, json, sent, true)
  }
}

/** Readers without a socket, and cursors that nobody gave. */
export const readers: Family = {
  name: 'readers',
  weight: 2,
  concurrency: 24,
  make (random, { port, resources, epochs }) {
    const resource = random.pick(resources)
    const epoch = epochs.get(resource.name) ?? ''
    const sse = random.chance(0.5)
    const fields: [string, string][] = [['Accept', sse ? 'text/event-stream' : 'application/json']]
    if (random.chance(0.3)) fields.push(['Last-Event-ID', cursor(random, epoch)])
    const bytes = head('GET', (resource.updates + streamQuery(random, resource, epoch)).replace(/[^\x21-\x7e]/g, '_').slice(0, 12_000), fields)
    return wireInput(port, { pieces: [bytes], until: random.chance(0.1) ? 'reset' : 1, mayBeBusy: true })
  }
}

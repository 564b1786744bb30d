import type { Random } from '../model/random.ts'
import { type Fuzzed, ids } from './resources.ts'
import { anything, broken, deepText, scalar, spelled, text } from './values.ts'

const longest = 14_000 // characters of a where: a message holds 16 KiB
const operators = ['$ne', '$gt', '$gte', '$lt', '$lte', '$in', '$nin'] as const

/** A `where` for a resource, mostly one that it takes. */
export function where (random: Random, { paths }: Pick<Fuzzed, 'paths'>, levels = 2): Record<string, unknown> {
  if (levels > 0 && random.chance(0.2)) {
    const count = random.pick([1, 2, 3, 3, 99, 100, 101])
    return { [random.pick(['$and', '$or'])]: Array.from({ length: count }, () => where(random, { paths }, count > 3 ? 0 : random.below(levels))) }
  }
  return Object.fromEntries(Array.from({ length: random.pick([0, 1, 1, 1, 2]) }, () => [path(random, paths), compared(random)]))
}

function path (random: Random, paths: readonly string[]): string {
  return random.chance(0.9) ? random.pick(paths) : random.pick(['', 'nothing', 'id.x', '$where', '__proto__', 'constructor.name', 'a.b.c', '.', '$ne', `${random.pick(paths)}.`])
}

function compared (random: Random): unknown {
  if (random.chance(0.1)) return anything(random)
  if (random.chance(0.3)) return scalar(random)
  const operator = random.pick(operators)
  const list = (): unknown[] => Array.from({ length: random.pick([0, 1, 2, 5, 200]) }, () => scalar(random))
  return { [operator]: operator === '$in' || operator === '$nin' ? random.chance(0.9) ? list() : scalar(random) : random.chance(0.9) ? scalar(random) : list() }
}

/** The text of a `where`, for a URL or a message. */
export function whereText (random: Random, resource: Fuzzed): string {
  if (random.chance(0.05)) return deepText(random, '{}', 10_000)
  const value = where(random, resource, random.pick([2, 2, 2, 9]))
  return (random.chance(0.93) ? spelled(random, value) : broken(random, value)).slice(0, longest)
}

function sort (random: Random, paths: readonly string[]): string {
  return Array.from({ length: random.pick([1, 1, 2, 3, 4, 5, 40]) }, () => `${random.pick(['', '-', ' ', '--'])}${path(random, paths)}`).join()
}

/** A cursor that nobody gave, or that somebody might have. */
export function cursor (random: Random, epoch: string): string {
  if (random.chance(0.4)) return `${epoch}.${random.pick([0, 1, 2, 7, 50, 1000, 1_000_000])}`
  return random.pick<() => string>([
    () => `${epoch}.${random.pick(['-1', '01', '1.5', '1e3', '9007199254740991', '9007199254740992', '99999999999999999999', '', ' 1', '١', 'NaN', '0x1'])}`,
    () => `${random.pick(['AAAAAAAAAAAA', '', '.', '_', 'x'.repeat(33), epoch.toLowerCase(), `${epoch}x`])}.1`,
    () => 'start',
    () => 'now',
    () => text(random),
    () => epoch
  ])()
}

/** An `after` that no `Link` gave. */
function after (random: Random, sortText: string): string {
  const keys = Array.from({ length: sortText === '' ? 0 : sortText.split(',').length }, () => random.chance(0.8) ? scalar(random) : anything(random))
  const token = random.pick<() => unknown>([
    () => [sortText, keys, random.pick(ids)],
    () => [sortText, keys, text(random)],
    () => [sortText, keys, scalar(random)],
    () => [sortText, scalar(random), random.pick(ids)],
    () => anything(random)
  ])()
  return random.chance(0.9) ? Buffer.from(spelled(random, token)).toString('base64url') : random.pick([text(random), '!', Buffer.from(deepText(random, '1', 7000)).toString('base64url')])
}

type Parameter = readonly [name: string, value: string]

/** The query of a list. */
export function listQuery (random: Random, resource: Fuzzed, epoch: string): string {
  const parameters: Parameter[] = []
  const sortText = random.chance(0.4) ? sort(random, resource.paths) : ''
  if (sortText !== '') parameters.push(['sort', sortText])
  if (random.chance(0.5)) parameters.push(['where', whereText(random, resource)])
  if (random.chance(0.5)) parameters.push(['limit', count(random)])
  if (random.chance(0.2)) parameters.push(['after', after(random, sortText)])
  if (random.chance(0.2)) parameters.push(['fields', fields(random, resource)])
  if (random.chance(0.1)) parameters.push(['at', cursor(random, epoch)])
  return joined(random, parameters)
}

/** The query of a stream. None waits for longer than a second. */
export function streamQuery (random: Random, resource: Fuzzed, epoch: string): string {
  const parameters: Parameter[] = []
  if (random.chance(0.3)) parameters.push(['filter', random.pick(['all', 'saves', 'deletes', 'ALL', '', 'stop'])])
  if (random.chance(0.4)) parameters.push(['where', whereText(random, resource)])
  if (random.chance(0.2)) parameters.push(['fields', fields(random, resource)])
  if (random.chance(0.6)) parameters.push(['since', cursor(random, epoch)])
  if (random.chance(0.2)) parameters.push(['snapshot', random.pick(['true', 'true', 'false', '1', ''])])
  if (random.chance(0.2)) parameters.push(['limit', count(random)])
  if (random.chance(0.1)) parameters.push(['wait', random.pick(['0', '1', '61', '-1', '1.5', '', 'x', '1e1'])])
  return joined(random, parameters)
}

function count (random: Random): string {
  return random.pick(['1', '2', '3', '10', '1000', '1001', '10000', '0', '-1', '1.5', '1e1', ' 1', '', '00001', 'x', '9'.repeat(30)])
}

function fields (random: Random, { paths }: Fuzzed): string {
  return random.chance(0.05) ? ','.repeat(500) : Array.from({ length: random.below(4) }, () => path(random, paths)).join(random.pick([',', ',', ', ', ';']))
}

function joined (random: Random, parameters: Parameter[]): string {
  if (random.chance(0.05)) parameters.push([random.pick(['x', '__proto__', '', 'where', 'limit', 'id', 'toString']), text(random)])
  if (parameters.length > 0 && random.chance(0.03)) parameters.push(random.pick(parameters))
  if (parameters.length === 0) return random.pick(['', '', '?', '?&', '?=', '?#'])
  return `?${parameters.map(([name, value]) => `${escaped(random, name)}=${escaped(random, value)}`).join('&')}`
}

/** As a client escapes it, or as one should not. */
export function escaped (random: Random, value: string): string {
  if (random.chance(0.95)) return encodeURIComponent(value.toWellFormed())
  return random.pick<() => string>([
    () => [...Buffer.from(value)].map(byte => `%${byte.toString(16).padStart(2, '0')}`).join(''),
    () => encodeURIComponent(value.toWellFormed()).replace(/%../, random.pick(['%', '%g0', '%ff', '%c0%80', '%u0041', '+'])),
    () => value.replace(/[^\x21-\uffff]/g, '').slice(0, 3000)
  ])()
}

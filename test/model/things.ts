import { Type } from '@sinclair/typebox'
import type { Random } from './random.ts'

/** The records of the model's resources: few values, so that filters meet, and a pad to make them large. */
export const Thing = Type.Object({
  n: Type.Integer(),
  s: Type.String(),
  tags: Type.Array(Type.String()),
  o: Type.Optional(Type.Object({ x: Type.Optional(Type.Integer()) })),
  pad: Type.Optional(Type.String())
})

export interface Body { n: number, s: string, tags: string[], o?: { x?: number }, pad?: string }
export type Plain = Readonly<Record<string, unknown>>
export type Where = Plain | null
export type Kinds = 'all' | 'saves' | 'deletes'

/** What a subscriber asks for, as messages carry it. */
export interface Filter { readonly filter: Kinds, readonly where: Where, readonly fields: readonly string[] | null }

/** `n` of the records that are written so that every subscriber has something to wait for. */
export const marker = 999

const texts = ['a', 'b', 'ab', 'é', '\uffff', '\u{10000}']
const labels = ['x', 'y', 'z']

export function body (random: Random, pad: number): Body {
  const o = random.pick([null, null, {}, { x: 0 }, { x: 1 }])
  return {
    n: random.below(5),
    s: random.pick(texts),
    tags: labels.filter(() => random.chance(0.3)),
    ...(o && { o }),
    ...(pad > 0 && random.chance(0.7) && { pad: String(random.below(10)).repeat(pad) })
  }
}

export function patch (random: Random, pad: number): Plain {
  return random.pick<() => Plain>([
    () => ({}),
    () => ({ n: random.below(5) }),
    () => ({ s: random.pick(texts), n: random.below(5) }),
    () => ({ tags: labels.filter(() => random.chance(0.4)) }),
    () => ({ o: null }),
    () => ({ o: { x: random.pick([null, 0, 1]) } }),
    () => ({ pad: pad > 0 ? 'p'.repeat(pad) : null })
  ])()
}

/** JSON Merge Patch (RFC 7396), once more. */
export function merged (target: unknown, change: unknown): unknown {
  if (typeof change !== 'object' || change === null || Array.isArray(change)) return change
  const base: Plain = typeof target === 'object' && target !== null && !Array.isArray(target) ? target as Plain : {}
  const kept = Object.entries(base).filter(([key]) => !(key in change))
  const set = Object.entries(change).filter(([, value]) => value !== null).map(([key, value]) => [key, merged(base[key], value)] as const)
  return Object.fromEntries([...kept, ...set])
}

export function where (random: Random, ids: readonly string[], depth = 0): Plain {
  const number = (): number => random.below(5)
  const text = (): string => random.pick(texts)
  const several = <T>(one: () => T): T[] => Array.from({ length: random.below(4) }, one)
  const part = (): Plain => where(random, ids, depth + 1)
  const parts = (): Plain[] => Array.from({ length: random.between(1, 3) }, part)
  return random.pick<() => Plain>([
    () => ({ n: number() }),
    () => ({ n: { [random.pick(['$gt', '$gte', '$lt', '$lte', '$ne'])]: number() } }),
    () => ({ n: { $gte: 1, $lt: number() } }),
    () => ({ n: { [random.pick(['$in', '$nin'])]: several(number) } }),
    () => ({ s: text() }),
    () => ({ s: { [random.pick(['$gt', '$lte', '$ne'])]: text() } }),
    () => ({ s: { $in: several(text) }, n: { $ne: number() } }),
    () => ({ tags: random.pick(labels) }),
    () => ({ tags: { [random.pick(['$ne', '$gt'])]: random.pick(labels) } }),
    () => ({ 'o.x': random.pick([null, 0, 1]) }),
    () => ({ 'o.x': { $gt: 0 } }),
    () => ids.length > 0 ? { id: random.pick(ids) } : {},
    () => depth < 2 ? { $or: parts() } : {},
    () => depth < 2 ? { $and: parts() } : { n: number() }
  ])()
}

type Test = (found: readonly unknown[], operand: unknown) => boolean

const tests: Readonly<Record<string, Test>> = {
  $eq: (found, operand) => found.includes(operand),
  $ne: (found, operand) => !found.includes(operand),
  $in: (found, operand) => (operand as unknown[]).some(one => found.includes(one)),
  $nin: (found, operand) => !(operand as unknown[]).some(one => found.includes(one)),
  $gt: ordered(sign => sign > 0),
  $gte: ordered(sign => sign >= 0),
  $lt: ordered(sign => sign < 0),
  $lte: ordered(sign => sign <= 0)
}

function ordered (fits: (sign: number) => boolean): Test {
  return (found, operand) => found.some(one => typeof one === typeof operand && one !== null && fits(sign(one, operand)))
}

function sign (a: unknown, b: unknown): number {
  return typeof a === 'string' ? Buffer.compare(Buffer.from(a), Buffer.from(String(b))) : Number(a) - Number(b)
}

/** Whether a record matches (contract §4). */
export function holds (condition: Where, record: Plain): boolean {
  return Object.entries(condition ?? {}).every(([key, operand]) => {
    if (key === '$or') return (operand as Plain[]).some(one => holds(one, record))
    if (key === '$and') return (operand as Plain[]).every(one => holds(one, record))
    let value: unknown = record
    for (const name of key.split('.')) value = typeof value === 'object' && value !== null ? (value as Plain)[name] : undefined
    const found = Array.isArray(value) ? value : [value ?? null]
    if (typeof operand !== 'object' || operand === null) return tests['$eq']?.(found, operand)
    return Object.entries(operand).every(([operator, wanted]) => tests[operator]?.(found, wanted))
  })
}

/** The record with no properties but `id` and `fields`. */
export function seen (record: Plain, fields: readonly string[] | null): Plain {
  return fields === null ? record : Object.fromEntries(Object.entries(record).filter(([key]) => key === 'id' || fields.includes(key)))
}

/** Whoever was not told of all has no view that a difference could be told to. */
export function redraws (former: Filter, filter: Filter): boolean {
  return former.filter !== 'all' && former.filter !== filter.filter
}

import type { Scalar } from '../../protocol/properties.ts'
import { sortLimits } from '../../protocol/sort.ts'

/**
 * All values of SQLite's that may be one of JavaScript's are between `low` and `high`; `null`: nothing is after them.
 * `exact`: those that are no reals are that value.
 */
export interface Zone { readonly low: number | string, readonly high: number | string | null, readonly exact: boolean }

/** Below this the zone of a whole number holds no other. */
export const wholeNumbers = 2 ** 49

/** SQLite has integers that no double holds, and reads some decimals one unit in the last place off. */
export function zoneOfNumber (value: number): Zone & { readonly low: number, readonly high: number } {
  const blur = Math.abs(value) * 2 ** -50 + Number.MIN_VALUE * 2
  return {
    low: value === Infinity ? Number.MAX_VALUE : value - blur,
    high: value === -Infinity ? -Number.MAX_VALUE : value + blur,
    exact: Number.isInteger(value) && Math.abs(value) < wholeNumbers
  }
}

/** What a sort compares: of a string the start, which SQLite is given without half of a surrogate pair. */
export function zoneOf (key: Exclude<Scalar, null>): Zone {
  if (typeof key !== 'string') return zoneOfNumber(Number(key))
  const start = wellFormedStart(key)
  const exact = start === key && key.length < sortLimits.codePoints
  return { low: start, high: exact ? key : successor(start), exact }
}

function wellFormedStart (text: string): string {
  if (text.isWellFormed()) return text
  const characters = [...text]
  return characters.slice(0, characters.findIndex(character => !character.isWellFormed())).join('')
}

/** A string after all that begin with `text`, or `null` where there is none. */
function successor (text: string): string | null {
  const points = Array.from(text, character => character.codePointAt(0) ?? 0)
  const last = points.findLastIndex(point => point < 0x10ffff)
  if (last < 0) return null
  const next = (points[last] ?? 0) + 1
  return String.fromCodePoint(...points.slice(0, last), next === 0xd800 ? 0xe000 : next)
}

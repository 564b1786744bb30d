import { createHash } from 'node:crypto'
import { ChangeStreamError } from '../protocol/errors.ts'
import type { Scalar } from '../protocol/properties.ts'
import type { SortPlace } from '../protocol/sort.ts'

const hashLength = 8

/**
 * A place in a list as the value of `after`: URL-safe, and under 6 KB, since no code point takes more than four bytes of it
 * whatever it is. (JSON would take six for a control character.)
 * @param sort the `sort` that it is a place in, as the query has it
 */
export function writePlace ({ keys, id }: SortPlace, sort: string): string {
  const text = `${hashOf(sort)}${keys.map(writeKey).join('')}${id}`
  const whole = text.isWellFormed() // or it holds half of a surrogate pair, which UTF-8 can't
  return (whole ? 'a' : 'b') + Buffer.from(text, whole ? 'utf8' : 'utf16le').toString('base64url')
}

/**
 * Reads what `writePlace` has written for the same sort of `length` keys.
 * @throws {ChangeStreamError} `invalid-query`
 */
export function readPlace (token: string, sort: string, length: number): SortPlace {
  const text = Buffer.from(token.slice(1), 'base64url').toString(token.startsWith('b') ? 'utf16le' : 'utf8')
  if (!text.startsWith(hashOf(sort))) throw refusal()
  const keys: Scalar[] = []
  let start = hashLength
  while (keys.length < length) {
    const { key, end } = readKey(text, start)
    keys.push(key)
    start = end
  }
  return { keys, id: text.slice(start) }
}

function writeKey (key: Scalar): string {
  if (typeof key === 'string') return `s${key.length};${key}`
  if (typeof key === 'number') return `n${key};`
  return key === null ? '_' : key ? 't' : 'f'
}

const numberForm = /[sn]([^;]+);/y

function readKey (text: string, start: number): { key: Scalar, end: number } {
  const constant = constants.get(text[start])
  if (constant !== undefined) return { key: constant, end: start + 1 }
  numberForm.lastIndex = start
  const number = Number(numberForm.exec(text)?.[1] ?? NaN)
  const end = numberForm.lastIndex
  if (Number.isNaN(number)) throw refusal()
  if (text[start] === 'n') return { key: number, end }
  const key = text.slice(end, end + number)
  if (key.length !== number) throw refusal()
  return { key, end: end + number }
}

const constants: ReadonlyMap<string | undefined, Scalar> = new Map([['_', null], ['t', true], ['f', false]])

function hashOf (sort: string): string {
  return createHash('sha256').update(sort).digest('base64url').slice(0, hashLength)
}

function refusal (): ChangeStreamError {
  return new ChangeStreamError('invalid-query', 'after must be one that a Link header gave, for the same sort')
}

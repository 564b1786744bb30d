import { inspect } from 'node:util'
import type { Retention } from './retention.ts'

/** The longest that a timer of Node's waits, milliseconds. */
const longest = 2 ** 31 - 1

/** The options of a store, with their defaults, checked. Each throws a `TypeError` that names the store, the option and its value. */
export class Settings {
  readonly #owner: string

  /** @param owner what the options are of, such as `memory` */
  constructor (owner: string) {
    this.#owner = owner
  }

  /** Milliseconds, as many as a timer can wait. */
  milliseconds (name: string, value: number | undefined, otherwise: number, least: number): number {
    return this.#whole(name, value ?? otherwise, least, longest)
  }

  /** One of a few words. */
  oneOf<T extends string> (name: string, value: T | undefined, words: readonly T[], otherwise: T): T {
    const word = value ?? otherwise
    if (!words.includes(word)) throw this.#refusal(name, `one of ${words.join(', ')}`, word)
    return word
  }

  /** Whole numbers, or `Infinity` for no bound. */
  retention (given: Partial<Retention> | undefined, defaults: Retention): Retention {
    if (typeof given !== 'object' && given !== undefined) throw this.#refusal('retention', 'an object', given)
    const of = (name: keyof Retention): number => this.#whole(`retention.${name}`, given?.[name] ?? defaults[name], 0, Infinity)
    return { count: of('count'), age: of('age'), bytes: of('bytes') }
  }

  #whole (name: string, value: number, least: number, most: number): number {
    const fits = Number.isInteger(value) || (value === Infinity && most === Infinity)
    if (!fits || value < least || value > most) throw this.#refusal(name, `a whole number from ${least} on${most === Infinity ? ', or Infinity' : ` up to ${most}`}`, value)
    return value
  }

  #refusal (name: string, expected: string, got: unknown): TypeError {
    return new TypeError(`${this.#owner}: option "${name}" must be ${expected}, got ${inspect(got, { depth: 1, breakLength: Infinity })}`)
  }
}

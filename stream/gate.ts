import { ChangeStreamError } from '../protocol/errors.ts'

export interface GateSettings {
  /** The longest that a write is held back, milliseconds; 0: never. */
  readonly overloadWait: number
  /** What becomes of a write that has been held back that long: it is done, or refused. */
  readonly overload: 'write' | 'refuse'
}

/** Seconds after which a refused write may be tried again. */
const retryAfter = 1

interface Held { readonly deadline: number, readonly proceed: () => void, readonly refuse: (error: ChangeStreamError) => void }

/**
 * Where writers wait for the stream. Shut, because it has more to deliver than the process can, it holds writes back, in
 * their order, until it opens or they have waited long enough. Paused, it gathers those that come until the next slice of
 * the stream's work: they share a commit, and all go out with that slice.
 */
export class Gate {
  readonly #settings: GateSettings
  #state: 'open' | 'paused' | 'shut' = 'open'
  #held: Held[] = []
  #timer: NodeJS.Timeout | undefined

  constructor (settings: GateSettings) {
    this.#settings = settings
  }

  get isShut (): boolean {
    return this.#state === 'shut'
  }

  shut (): void {
    this.resume()
    if (this.#settings.overloadWait > 0) this.#state = 'shut'
  }

  /** Unless it is shut. */
  pause (): void {
    if (this.#settings.overloadWait > 0 && this.#state === 'open') this.#state = 'paused'
  }

  /** Whether writes wait for the end of a pause. */
  get holds (): boolean {
    return this.#state === 'paused' && this.#held.length > 0
  }

  /** Ends a pause. */
  resume (): void {
    if (this.#state === 'paused') this.open()
  }

  open (): void {
    if (this.#state === 'open') return
    this.#state = 'open'
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const { proceed } of this.#held.splice(0)) proceed()
  }

  /**
   * Lets a write through: at once (`null`), or when the promise resolves.
   * @throws {ChangeStreamError} `overloaded`
   */
  pass (): Promise<void> | null {
    if (this.#state === 'open') return null
    return new Promise((resolve, reject) => {
      this.#held.push({ deadline: performance.now() + this.#settings.overloadWait, proceed: resolve, refuse: reject })
      this.#timer ??= setTimeout(() => this.#expire(), this.#settings.overloadWait)
    })
  }

  /** Those who have waited long enough are the first ones. */
  #expire (): void {
    const now = performance.now()
    const left = this.#held.findIndex(({ deadline }) => deadline > now)
    const over = this.#held.splice(0, left < 0 ? this.#held.length : left)
    const [next] = this.#held
    this.#timer = next && setTimeout(() => this.#expire(), next.deadline - now)
    for (const { proceed, refuse } of over) {
      if (this.#settings.overload === 'write' || this.#state === 'paused') proceed()
      else refuse(new ChangeStreamError('overloaded', 'subscribers can\'t be served as fast as records are written', { retryAfter: retryAfter * 1000 }))
    }
  }
}

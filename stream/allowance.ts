/** How often something may be done: some times at once, and again as time goes by (a token bucket). */
export class Allowance {
  readonly #burst: number
  readonly #perSecond: number
  #left: number
  #since = performance.now()

  constructor (burst: number, perSecond: number) {
    this.#burst = this.#left = burst
    this.#perSecond = perSecond
  }

  /** Takes one of it, if there is one left. */
  take (): boolean {
    const now = performance.now()
    this.#left = Math.min(this.#left + (now - this.#since) * this.#perSecond / 1000, this.#burst)
    this.#since = now
    if (this.#left < 1) return false
    this.#left--
    return true
  }
}

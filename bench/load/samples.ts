export interface Percentiles {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** Durations in microseconds, told as milliseconds. */
export class Samples {
  #values = new Float64Array(1024)
  #length = 0

  add (value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Float64Array(this.#length * 2)
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[this.#length++] = value
  }

  clear (): void {
    this.#length = 0
  }

  percentiles (): Percentiles {
    const sorted = this.#values.slice(0, this.#length).sort()
    const at = (share: number): number => (sorted[Math.floor(share * (this.#length - 1))] ?? NaN) / 1000
    return { count: this.#length, p50: at(0.5), p99: at(0.99), max: at(1) }
  }
}

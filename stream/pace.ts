import { performance } from 'node:perf_hooks'

/** A pass shorter than this needs no rest, milliseconds. */
const short = 0.5
/** What the rest of the process gets for each millisecond of a pass. */
const share = 2
/** It makes use of its time if it idles no more than this part of it. */
const spare = 0.2

/**
 * When the next pass over the subscribers may begin. A pass costs about the same however much it brings to each of them, so
 * the busier the process, the fewer passes and the more in each: what else the process has to do goes first, for as long
 * as twice the time that the pass took, but no longer than `rest`.
 */
export class Pace {
  readonly #rest: number
  #began = 0
  #spent = 0
  /** When it was last looked whether the process has other work, and how long the event loop had idled by then. */
  #looked = 0
  #idled = 0

  /** @param rest milliseconds */
  constructor (rest: number) {
    this.#rest = rest
  }

  begin (): void {
    this.#began = performance.now()
    this.#spent = 0
  }

  /** @param time milliseconds of work for the pass */
  spend (time: number): void {
    this.#spent += time
  }

  end (): void {
    this.#look(performance.now())
  }

  /** Whether the rest of the process has had its share since the pass began, or makes no use of it. */
  rested (): boolean {
    if (this.#spent < short) return true
    const now = performance.now()
    const others = now - this.#began - this.#spent
    if (others >= Math.min(this.#spent * share, this.#rest)) return true
    const looked = this.#looked
    const idled = this.#idled
    this.#look(now)
    return this.#idled - idled > (now - looked) * spare
  }

  #look (now: number): void {
    this.#looked = now
    this.#idled = performance.eventLoopUtilization().idle
  }
}

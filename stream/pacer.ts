/**
 * Runs the stream's work in slices between which the event loop serves everything else: requests, sockets, timers.
 */
export class Pacer {
  readonly #slice: number
  readonly #work: (deadline: number) => boolean
  /** `due`: a slice comes with the next turn. */
  #state: 'idle' | 'due' | 'closed' = 'idle'

  /**
   * @param slice the longest that `work` should hold the event loop, milliseconds
   * @param work does what there is until `deadline`, on `performance.now()`'s clock, and says whether something is left
   */
  constructor (slice: number, work: (deadline: number) => boolean) {
    this.#slice = slice
    this.#work = work
  }

  /** There is work. */
  wake (): void {
    if (this.#state !== 'idle') return
    this.#state = 'due'
    setImmediate(() => this.#run())
  }

  close (): void {
    this.#state = 'closed'
  }

  #run (): void {
    if (this.#state === 'closed') return
    this.#state = 'idle'
    if (this.#work(performance.now() + this.#slice)) this.wake()
  }
}

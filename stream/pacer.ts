/**
 * Runs the stream's work in slices between which the event loop serves everything else: requests, sockets, timers.
 */
export class Pacer {
  readonly #slice: number
  readonly #work: (deadline: number) => boolean
  /** `due`: a slice comes by itself. */
  #state: 'idle' | 'due' | 'closed' = 'idle'
  #timer: NodeJS.Timeout | undefined

  /**
   * @param slice the longest that `work` should hold the event loop, milliseconds
   * @param work does what there is until `deadline`, on `performance.now()`'s clock, and says whether something is left
   */
  constructor (slice: number, work: (deadline: number) => boolean) {
    this.#slice = slice
    this.#work = work
  }

  /** There is work: a slice of it is done before the present turn of the event loop ends, unless one has been done in it already. */
  wake (): void {
    if (this.#state !== 'idle') return
    this.#state = 'due'
    afterAnswers(() => {
      this.#run()
      setImmediate(() => this.#turn())
    })
  }

  /** There will be work in `delay` milliseconds. */
  wakeAfter (delay: number): void {
    if (this.#state === 'closed') return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.wake()
    }, delay)
  }

  close (): void {
    this.#state = 'closed'
    clearTimeout(this.#timer)
  }

  #turn (): void {
    if (this.#run()) setImmediate(() => this.#turn())
    else if (this.#state === 'due') this.#state = 'idle'
  }

  #run (): boolean {
    return this.#state !== 'closed' && this.#work(performance.now() + this.#slice)
  }
}

/**
 * Calls back within this turn of the event loop, behind what the promises that are resolving now lead to: a write is
 * answered before it is streamed. An HTTP answer leaves in a tick of its own, after the promises: hence the second tick.
 */
function afterAnswers (callback: () => void): void {
  queueMicrotask(() => process.nextTick(() => process.nextTick(callback)))
}

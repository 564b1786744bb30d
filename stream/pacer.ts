/** A turn of the event loop that took less had nothing else to do, milliseconds. */
const idle = 0.1
/** Turns between two slices, so that a write which the first of them reads is committed and answered before the next slice. */
const turnsBetween = 2

/**
 * Runs the stream's work in slices between which the event loop serves everything else: requests, sockets, timers. After a
 * slice other work goes first, for `rest` times as long as the slice took or until there is none: the busier the process,
 * the fewer the slices, and the more there is to do at once in each.
 */
export class Pacer {
  readonly #slice: number
  readonly #rest: number
  readonly #work: (deadline: number) => boolean
  /** `due`: a slice comes by itself. */
  #state: 'idle' | 'due' | 'closed' = 'idle'
  /** Until when other work goes first, and when its present turn began, on `performance.now()`'s clock. */
  #until = 0
  #began = 0
  /** Turns of the event loop since the last slice. */
  #turns = 0

  /**
   * @param slice the longest that `work` should hold the event loop, milliseconds
   * @param rest how long other work goes first, in times of the last slice
   * @param work does what there is until `deadline`, on `performance.now()`'s clock, and says whether something is left
   */
  constructor (slice: number, rest: number, work: (deadline: number) => boolean) {
    this.#slice = slice
    this.#rest = rest
    this.#work = work
  }

  /** There is work: a slice of it is done before the present turn of the event loop ends, unless other work goes first. */
  wake (): void {
    if (this.#state !== 'idle') return
    this.#state = 'due'
    this.#began = performance.now()
    if (this.#began >= this.#until) afterAnswers(() => this.#run())
    else this.#wait()
  }

  close (): void {
    this.#state = 'closed'
  }

  #wait (): void {
    setImmediate(() => this.#turn())
  }

  #turn (): void {
    const now = performance.now()
    const idled = now - this.#began < idle
    this.#began = now
    if (++this.#turns >= turnsBetween && (idled || now >= this.#until)) this.#run()
    else this.#wait()
  }

  #run (): void {
    if (this.#state === 'closed') return
    const start = performance.now()
    const more = this.#work(start + this.#slice)
    const end = performance.now()
    this.#until = end + (end - start) * this.#rest
    this.#began = end
    this.#turns = 0
    if (more) this.#wait()
    else if (this.#state === 'due') this.#state = 'idle'
  }
}

/**
 * Calls back within this turn of the event loop, behind what the promises that are resolving now lead to: a write is
 * answered before it is streamed. An HTTP answer leaves in a tick of its own, after the promises: hence the second tick.
 */
function afterAnswers (callback: () => void): void {
  queueMicrotask(() => process.nextTick(() => process.nextTick(callback)))
}

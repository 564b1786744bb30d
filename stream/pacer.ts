/** What other work gets for each millisecond of the stream's. */
const share = 2
/** A turn of the event loop that took less had nothing else to do, milliseconds. */
const idle = 0.1

/** What may hold writes back until the next slice. */
interface Pause {
  /** Whether writes wait for it. */
  readonly holds: boolean
  resume (): void
}

/**
 * Runs the stream's work in slices between which the event loop serves everything else: requests, sockets, timers. After a
 * slice other work goes first, for twice as long as the slice took or until there is none, but never longer than `rest`: the
 * busier the process, the fewer the slices, and the more there is to do at once in each. What other work has not had by the
 * next slice is added to what it gets then.
 *
 * A write is read in one turn of the event loop, and committed and answered at its end. So a slice comes behind a commit, or
 * in the second turn that finds nothing to do. Writes that are held back for it are let go before it.
 */
export class Pacer {
  readonly #slice: number
  readonly #rest: number
  readonly #work: (deadline: number) => boolean
  readonly #gate: Pause
  /**
   * - `due`: a slice comes when other work has gone first
   * - `near`: it has, and the slice comes behind the commit of what has been let go
   * - `called`: the slice comes before the present turn of the event loop ends, or is on
   */
  #state: 'idle' | 'due' | 'near' | 'called' | 'closed' = 'idle'
  /** Until when other work goes first, and when its present turn began, on `performance.now()`'s clock. */
  #until = 0
  #began = 0
  /** What other work has not had of its time before this slice, milliseconds. */
  #owed = 0
  /** Turns of the event loop in this state. */
  #turns = 0
  #next: NodeJS.Immediate | undefined

  /**
   * @param slice the longest that `work` should hold the event loop, milliseconds
   * @param rest the longest that other work goes first, milliseconds
   * @param work does what there is until `deadline`, on `performance.now()`'s clock, and says whether something is left
   * @param gate may hold writes back for the next slice
   */
  constructor (slice: number, rest: number, work: (deadline: number) => boolean, gate: Pause) {
    this.#slice = slice
    this.#rest = rest
    this.#work = work
    this.#gate = gate
  }

  /**
   * There is work: a slice of it is done before the present turn of the event loop ends, unless other work goes first.
   * `committed`: it is what a commit has brought.
   */
  wake (reason?: 'committed'): void {
    if (this.#state === 'called' || this.#state === 'closed' || (this.#state === 'near' && !reason)) return
    const now = performance.now()
    if (this.#state === 'idle') {
      this.#state = 'due'
      this.#began = now
    }
    if (now < this.#until || (this.#state === 'due' && this.#gate.holds)) return this.#wait()
    this.#gate.resume()
    this.#state = 'called'
    afterAnswers(() => this.#run())
  }

  close (): void {
    this.#state = 'closed'
    clearImmediate(this.#next)
  }

  #wait (): void {
    this.#next ??= setImmediate(() => {
      this.#next = undefined
      if (this.#state === 'due' || this.#state === 'near') this.#turn()
    })
  }

  #turn (): void {
    const now = performance.now()
    const idled = ++this.#turns > 1 && now - this.#began < idle
    if (this.#state === 'near') {
      if (this.#turns > 1) return this.#run()
    } else if ((idled || this.#began >= this.#until) && !this.#approach(now)) {
      return this.#run()
    }
    this.#began = now
    this.#wait()
  }

  /** Other work has gone first. Says whether the slice should wait for what is let go now. */
  #approach (now: number): boolean {
    this.#owed = Math.max(this.#until - now, 0)
    this.#until = now
    this.#turns = 0
    this.#state = 'near'
    const held = this.#gate.holds
    this.#gate.resume()
    return held
  }

  /** Also from within the work. */
  get #isClosed (): boolean {
    return this.#state === 'closed'
  }

  #run (): void {
    if (this.#isClosed) return
    this.#state = 'called' // what the work wakes is part of it
    const start = performance.now()
    const more = this.#work(start + this.#slice)
    const end = performance.now()
    this.#until = end + Math.min(this.#owed + (end - start) * share, this.#rest)
    this.#began = end
    this.#owed = this.#turns = 0
    if (this.#isClosed) return
    this.#state = more ? 'due' : 'idle'
    if (more) this.#wait()
  }
}

/**
 * Calls back within this turn of the event loop, behind what the promises that are resolving now lead to: a write is
 * answered before it is streamed. An HTTP answer leaves in a tick of its own, after the promises: hence the second tick.
 */
function afterAnswers (callback: () => void): void {
  queueMicrotask(() => process.nextTick(() => process.nextTick(callback)))
}

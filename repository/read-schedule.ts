/**
 * Who waits for a turn. The lanes are served in turn, each in the order in which it was joined:
 * - `page`: a page that one window brings, most likely
 * - `list`: lists that look for their records
 * - `stream`: what readers of the stream have to be read
 * - `message`: what clients of the stream have sent
 */
export type Lane = 'page' | 'list' | 'stream' | 'message'

type Job = () => void

const slice = 5 // milliseconds that reads hold the event loop at a time
const longestRest = 10 // milliseconds that other work goes first, at most
const share = 2 // what other work gets for each millisecond of theirs
const idle = 0.1 // a turn of the event loop that took less had nothing else to do, milliseconds

/**
 * Runs the reads of an app in slices of the event loop. After a slice other work goes first, for twice as long as it took, or
 * until the loop finds nothing else to do. What is not used of a slice is not saved up for another.
 */
export class ReadSchedule {
  readonly #now: () => number
  readonly #lanes: readonly Lane[] = ['page', 'list', 'stream', 'message']
  readonly #queues: Readonly<Record<Lane, Job[]>> = { page: [], list: [], stream: [], message: [] }
  #turn = 0
  #waiting = 0
  /** The time that is used up of a slice, milliseconds, and when the last work ended, on the clock. */
  #used = 0
  #ended = 0
  /** Until when other work goes first. */
  #until = 0
  #next: NodeJS.Immediate | undefined
  /** When the present turn of the event loop began, and how many there were since the last slice. */
  #began = 0
  #turns = 0

  /** @param now the clock, milliseconds */
  constructor (now = () => performance.now()) {
    this.#now = now
  }

  run<T> (lane: Lane, work: () => T): Promise<Awaited<T>> {
    return new Promise(resolve => {
      const job = (): void => resolve(outcome(work))
      if (this.#waiting === 0 && this.#now() >= this.#until) return this.#do(job)
      this.#queues[lane].push(job)
      this.#waiting++
      this.#wait()
    })
  }

  #do (job: Job): void {
    const start = this.#now()
    this.#used = Math.max(this.#used - (start - this.#ended) / share, 0)
    job()
    this.#ended = this.#now()
    this.#used += this.#ended - start
    if (this.#used < slice) return
    this.#until = this.#ended + Math.min(this.#used * share, longestRest)
    this.#used = 0
  }

  #wait (): void {
    if (this.#next) return
    this.#began = this.#now()
    this.#turns = 0
    this.#poll()
  }

  /** Looks once in each turn of the event loop whether it is time for a slice. */
  #poll (): void {
    this.#next = setImmediate(() => {
      const now = this.#now()
      const idled = ++this.#turns > 1 && now - this.#began < idle
      if (idled) this.#until = now
      if (now >= this.#until) {
        this.#turns = 0
        this.#slice()
      }
      this.#began = this.#now()
      this.#next = undefined
      if (this.#waiting > 0) this.#poll()
    })
  }

  #slice (): void {
    while (this.#waiting > 0 && this.#now() >= this.#until) {
      this.#waiting--
      this.#do(this.#shift())
    }
  }

  /** The first of the next lane in which somebody waits. */
  #shift (): Job {
    for (;;) {
      this.#turn = (this.#turn + 1) % this.#lanes.length
      const job = this.#queues[this.#lanes[this.#turn] as Lane].shift()
      if (job) return job
    }
  }
}

/** What it throws too: it does not get further than to who waits for it. */
async function outcome<T> (work: () => T): Promise<Awaited<T>> {
  return await work()
}

import { ChangeStreamError } from '../protocol/errors.ts'

interface Waiting {
  readonly most: number
  begin (): void
}

const retryAfter = 1000 // milliseconds

/** Lets so many be at work at once, and the others wait in the order in which they came. */
export class Slots {
  #taken = 0
  readonly #waiting = new Set<Waiting>()

  /** What gives the slot back, or `null` where there is none free, or others wait. */
  tryEnter (most: number): (() => void) | null {
    return this.#taken < most ? this.#take() : null // whoever waits wants fewer
  }

  /**
   * @param most how many there may be, this one included
   * @param wait milliseconds
   * @returns what gives the slot back
   * @throws {ChangeStreamError} `overloaded` after `wait`; the signal's reason when it is aborted
   */
  async enter (most: number, wait: number, signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted()
    return this.tryEnter(most) ?? await new Promise((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.#waiting.delete(waiting)
      }
      const refuse = (error: Error): void => {
        leave()
        reject(error)
        this.#next() // whoever came later may want less
      }
      const abort = (): void => refuse(signal?.reason as Error)
      const timer = setTimeout(() => refuse(new ChangeStreamError('overloaded', `more than ${most} lists are being read`, { retryAfter })), wait)
      const waiting: Waiting = {
        most,
        begin: () => {
          leave()
          resolve(this.#take())
        }
      }
      signal?.addEventListener('abort', abort)
      this.#waiting.add(waiting)
    })
  }

  #take (): () => void {
    let held = true
    this.#taken++
    return () => {
      if (!held) return
      held = false
      this.#taken--
      this.#next()
    }
  }

  #next (): void {
    for (const waiting of this.#waiting) {
      if (this.#taken < waiting.most) waiting.begin()
    }
  }
}

import { beatsPerHeartbeat } from './connection.ts'
import { type Subscriber, guarded } from './subscriber.ts'

/** What subscriptions have to do each for itself: heartbeats, which are short work, then the next bit of catching up. */
export class Steps {
  readonly #subscriptions: ReadonlySet<Subscriber>
  readonly #wake: () => void
  readonly #heart: NodeJS.Timeout
  /** Subscriptions that have something to do by themselves. */
  readonly #waiting = new Set<Subscriber>()
  /** Those that wait for all that has been committed to be matched. */
  readonly #postponed = new Set<Subscriber>()
  /** The rest of a round of heartbeats. */
  #round: Iterator<Subscriber> | undefined

  /**
   * @param heartbeat milliseconds
   * @param wake is called when there is something to do
   */
  constructor (subscriptions: ReadonlySet<Subscriber>, heartbeat: number, wake: () => void) {
    this.#subscriptions = subscriptions
    this.#wake = wake
    this.#heart = setInterval(() => this.#beat(), heartbeat / beatsPerHeartbeat).unref()
  }

  get due (): boolean {
    return this.#waiting.size > 0 || this.#round !== undefined
  }

  add (subscription: Subscriber): void {
    this.#waiting.add(subscription)
    this.#wake()
  }

  delete (subscription: Subscriber): void {
    this.#waiting.delete(subscription)
    this.#postponed.delete(subscription)
  }

  /** Adds the subscription when `resume` is called. */
  postpone (subscription: Subscriber): void {
    this.#postponed.add(subscription)
  }

  resume (): void {
    for (const subscription of this.#postponed) this.#waiting.add(subscription)
    if (this.#postponed.size > 0) this.#wake()
    this.#postponed.clear()
  }

  /** Does one step at least, and goes on until `deadline`, on `performance.now()`'s clock. */
  run (deadline: number): void {
    for (let next = this.#round?.next(); next && !next.done; next = this.#round?.next()) {
      guarded(next.value, subscription => subscription.beat())
      if (performance.now() > deadline) return
    }
    this.#round = undefined
    for (const subscription of this.#waiting) {
      this.#waiting.delete(subscription)
      guarded(subscription, () => subscription.step())
      if (performance.now() > deadline) return
    }
  }

  close (): void {
    clearInterval(this.#heart)
  }

  #beat (): void {
    if (this.#round || this.#subscriptions.size === 0) return
    this.#round = this.#subscriptions.values()
    this.#wake()
  }
}

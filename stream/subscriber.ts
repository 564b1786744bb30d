import type { ChangeStreamError } from '../protocol/errors.ts'

/** A subscription, as the hub sees it. */
export interface Subscriber {
  /** Does the next bit of work of its own, if nothing must be waited for. */
  step (): void
  /** One beat of the heart. */
  beat (): void
  /** The log can't be followed from where it stands: it starts again, or ends. */
  lose (error: ChangeStreamError): void
  /** Ends with an error. */
  fail (error: ChangeStreamError): void
  /** Ends because of what nobody foresaw. Never throws. */
  fault (error: unknown): void
  /** Ends because the server is going away. `retryAfter`: milliseconds until the peer may come back. */
  sayGoodbye (retryAfter: number): void
}

/** Does something for one subscriber, which alone ends if that throws. */
export function guarded (subscriber: Subscriber, work: (subscriber: Subscriber) => void): void {
  try {
    work(subscriber)
  } catch (error) {
    subscriber.fault(error)
  }
}

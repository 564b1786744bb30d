type Listener<This, Args extends unknown[]> = (this: This, ...args: Args) => unknown

/** Makes listeners of which no fault goes further than `fail`. */
export type Guard<This> = <Args extends unknown[]>(listener: Listener<This, Args>) => (this: This, ...args: Args) => void

/**
 * What every listener of a socket, a response or an emitter runs through: what it throws, or rejects with, would end the process. It is told to `report`,
 * and `fail` ends the one connection; what even that throws is reported, too.
 */
export function guard<This> (report: (error: unknown) => void, fail: (self: This, error: unknown) => void): Guard<This> {
  const failed = (self: This, error: unknown): void => {
    report(error)
    try {
      fail(self, error)
    } catch (error) {
      report(error)
    }
  }
  return listener => function (...args) {
    try {
      const result = listener.apply(this, args)
      if (result instanceof Promise) result.catch((error: unknown) => failed(this, error))
    } catch (error) {
      failed(this, error)
    }
  }
}

/** How much of the log is kept: a change stays while either of these still holds it. */
export interface Retention {
  /** Number of changes. */
  readonly count: number
  /** Milliseconds. */
  readonly age: number
}

/**
 * How much of the log is kept: a change stays while `count` or `age` still holds it, as long as all together stay within
 * `bytes`.
 */
export interface Retention {
  /** Number of changes. */
  readonly count: number
  /** Milliseconds. */
  readonly age: number
  /** Of the records before and after each change, as JSON. */
  readonly bytes: number
}

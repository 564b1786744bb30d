import { ReadSchedule, type Lane } from './read-schedule.ts'
import { Slots } from './slots.ts'

export type { Lane } from './read-schedule.ts'

/** How many lists may be at work at once, and how long the others wait. */
export interface ListLimits {
  /** Lists at work at once, those of the app's other resources included. */
  readonly maxLists: number
  /** The longest that a list waits for its turn to begin, milliseconds. */
  readonly listWait: number
}

export const listLimits: ListLimits = { maxLists: 8, listWait: 5000 }

/**
 * What long reads of an app may have of its process: lists, snapshots, differences and feeds, of all resources together. They
 * are done window by window, in slices of the event loop between which other work goes first.
 */
export class ReadBudget {
  readonly #limits: ListLimits
  readonly #schedule: ReadSchedule
  readonly #slots: Slots

  /** @param shared another's, to be at work together with it */
  constructor (limits: ListLimits = listLimits, shared?: ReadBudget) {
    this.#limits = limits
    this.#schedule = shared ? shared.#schedule : new ReadSchedule()
    this.#slots = shared ? shared.#slots : new Slots()
  }

  /**
   * Does `work`, a window of a few milliseconds: at once where nothing waits and there is time left, else when its turn comes.
   * What it throws rejects this caller alone.
   */
  run<T> (lane: Lane, work: () => T): Promise<Awaited<T>> {
    return this.#schedule.run(lane, work)
  }

  /** Lets another list be at work if it need not wait, as `enter` does. */
  tryEnter (): (() => void) | null {
    return this.#slots.tryEnter(this.#limits.maxLists)
  }

  /**
   * Waits until another list may be at work, and resolves with what must be called when it is done.
   * @param signal gives up waiting
   * @throws {ChangeStreamError} `overloaded` where none has come to its end in time
   */
  enter (signal?: AbortSignal): Promise<() => void> {
    return this.#slots.enter(this.#limits.maxLists, this.#limits.listWait, signal)
  }
}

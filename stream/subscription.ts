import { ChangeStreamError } from '../protocol/errors.ts'
import { type Filter, toMessage } from '../protocol/filter.ts'
import type { Snapshot } from '../protocol/log.ts'
import type { ControlMessage } from '../protocol/messages.ts'
import { Allowance } from './allowance.ts'
import { Connection, type Outlet } from './connection.ts'
import type { EncodedChange } from './encoded.ts'
import type { FilterClass, Member } from './filter-class.ts'
import type { Hub } from './hub.ts'
import { type Piecework, differ, differenceOf, either, inGroups, recordsOf } from './piecework.ts'
import type { Fragment, Reader } from './reader.ts'

/*
 *  start ──► snapshotting ──► catching-up ◄──► live
 *                 ▲              ▲   │           │ the connection is blocked
 *                 └── lose ──────┘   └─ lagging ◄┘
 *                                        (any) ──► closed
 */

/**
 * - `snapshotting`: sends the records of one position, or the difference that a new filter makes there, piece by piece
 * - `catching-up`: sends the log, page by page, until it stands at the live end
 * - `live`: is a member of its class, which tells it when to send what
 * - `lagging`: waits for the connection, then goes on from the class's ring, or from the log where that has moved on
 */
export type State = 'snapshotting' | 'catching-up' | 'live' | 'lagging' | 'closed'

/** A filter to go by after a position. */
interface Turn {
  readonly at: number
  readonly filter: Filter
  /** The records of that position, where the difference is to be sent. */
  readonly snapshot: Snapshot | null
}

export interface SubscriptionOptions {
  readonly reader: Reader
  readonly filter: Filter
  /** Whether the subscriber keeps a view: it gets a snapshot where it can't get the changes, and the difference that a new filter makes. */
  readonly view: boolean
}

const mostTurns = 32
const mostComplaints = 10
/** Filters that may be asked for at once, and in each second after. */
const filterBurst = 100
const filtersPerSecond = 20

/** One reader of the stream: a position in the log, a filter and a state (contract §3, §5). */
export class Subscription implements Member {
  position = 0
  place = 0
  readonly #hub: Hub
  readonly #connection: Connection
  readonly #reader: Reader
  readonly #view: boolean
  #state: State = 'catching-up'
  #class: FilterClass
  /** As the subscriber wrote it; the class may have got the same from another. */
  #filter: Filter
  /** Filters to come, in order. */
  #turns: Turn[] = []
  /** What is being sent while `snapshotting`. */
  #work: Piecework | null = null
  /** The rest of a piece of it, encoded. */
  #messages: Buffer[] = []
  /** The store's answer that it waits for. */
  #awaited: Promise<() => void> | null = null
  /** Whether `synced` is due at the live end. */
  #syncing = true
  #complaints = 0
  readonly #filters = new Allowance(filterBurst, filtersPerSecond)

  constructor (hub: Hub, outlet: Outlet, { reader, filter, view }: SubscriptionOptions) {
    this.#hub = hub
    this.#connection = new Connection(outlet, reader)
    this.#reader = reader
    this.#view = view
    this.#class = hub.classOf(filter, reader)
    this.#filter = filter
    hub.add(this)
  }

  /** The filter that was asked for last. */
  get filter (): Filter {
    return this.#turns.at(-1)?.filter ?? this.#filter
  }

  get state (): State {
    return this.#state
  }

  /** Starts behind `position`. */
  startAt (position: number): void {
    this.position = position
    this.#message({ type: 'ready', cursor: this.#hub.cursor(position), filter: toMessage(this.#filter) })
    this.step()
  }

  /** Starts with the records of now; after a `reset` where there was a cursor to start at. */
  startWithSnapshot (lost: ChangeStreamError | null): void {
    this.#beginRecords()
    this.#message({ type: 'ready', cursor: this.#hub.cursor(this.position), filter: toMessage(this.#filter) })
    if (lost) this.#message({ type: 'reset', reason: lost.message })
  }

  /** The log can't be followed from where it stands: starts again if it keeps a view, else ends. */
  lose (error: ChangeStreamError): void {
    if (this.#state === 'closed') return
    if (!this.#view) return this.fail(error)
    const turn = this.#turns.at(-1)
    this.#leaveClass()
    this.#dropWork()
    if (turn) this.#adopt(turn.filter)
    this.#syncing = true
    this.#beginRecords()
    this.#message({ type: 'reset', reason: error.message })
    if (turn) this.#message({ type: 'filtered', cursor: this.#hub.cursor(this.position), filter: toMessage(turn.filter) })
  }

  /** Goes by another filter for every change committed from now on. */
  refilter (filter: Filter): void {
    if (this.#state === 'closed') return
    if (this.#turns.length >= mostTurns || !this.#filters.take()) return this.fail(new ChangeStreamError('too-many', 'too many filters at once'))
    const former = this.filter
    const redrawn = this.#view && former.kinds !== 'all' && former.kinds !== filter.kinds
    const snapshot = this.#view && !redrawn && differ(former, filter) ? this.#hub.log.snapshot(either(former, filter)) : null
    this.#turns.push({ at: this.#hub.position, filter, snapshot })
    if (redrawn) return this.lose(new ChangeStreamError('gone', `a view that was told of ${former.kinds} alone starts again`))
    this.#leaveClass()
    this.#hub.enqueue(this)
  }

  /** The outlet takes bytes again: the peer reads. */
  drained (): void {
    this.alive()
    if (this.#state !== 'closed' && this.#state !== 'live') this.#hub.enqueue(this)
  }

  /** The peer has given a sign of life. */
  alive (): void {
    this.#connection.alive()
  }

  /** Does the next bit of work, unless the outlet or the store must be waited for. */
  step (): void {
    if (this.#awaited || this.#connection.blocked) return
    if (this.#state === 'snapshotting') this.#sendPiece()
    else if (this.#state === 'catching-up') this.#catchUp()
    else if (this.#state === 'lagging') this.#rejoin()
  }

  deliver (): boolean {
    this.position = this.#class.standing(this.position)
    while (this.position < this.#class.end) {
      if (this.#connection.blocked) {
        this.#state = 'lagging'
        this.#class.lagging++
        return false
      }
      if (!this.#deliverBatch()) return false
    }
    return true
  }

  /** One beat of the heart: a sign of life for the peer, and a look whether it gives one. */
  beat (): void {
    if (this.#state === 'closed') return
    const pulse = this.#connection.beat()
    if (pulse === 'lost') {
      this.close()
      this.#connection.destroy()
    } else if (pulse === 'quiet') {
      if (this.#work?.isView) this.#connection.write(this.#reader.records([])) // no cursor names what has been sent of it
      else this.#message({ type: 'bookmark', cursor: this.#hub.cursor(this.#reached()) })
    }
  }

  /** Tells the peer of an error of its own. The stream goes on, unless there are too many. */
  complain (error: ChangeStreamError): void {
    if (this.#state === 'closed') return
    if (++this.#complaints > mostComplaints) return this.fail(new ChangeStreamError('invalid-message', 'too many bad messages'))
    this.#tell(error)
  }

  /** Ends with an error. */
  fail (error: ChangeStreamError): void {
    if (this.#state === 'closed') return
    this.#tell(error)
    this.end(error.closeCode, error.toProblem().detail)
  }

  /** Something failed that nobody foresaw: it is logged, and ends this subscriber. Never throws. */
  fault (error: unknown): void {
    try {
      this.#hub.report(error)
      this.fail(new ChangeStreamError('internal', 'the stream failed', { cause: error }))
    } catch {
      this.#cut()
    }
  }

  /** Ends without a word. */
  #cut (): void {
    try {
      this.close()
    } catch {} finally {
      this.#connection.destroy()
    }
  }

  /** Ends with a close code: from here nothing is sent and nothing held. */
  end (code: number, reason: string): void {
    if (this.#state === 'closed') return
    this.close()
    this.#connection.end(code, reason)
  }

  /** Ends because the server is going away. `retryAfter`: milliseconds until the peer may come back. */
  sayGoodbye (retryAfter: number): void {
    if (this.#state === 'closed') return
    this.#message({ type: 'bye', cursor: this.#hub.cursor(this.#reached()), retryAfter })
    this.end(1001, 'the server is going away')
  }

  /** Lets go of everything; the connection itself is another's business. */
  close (): void {
    if (this.#state === 'closed') return
    this.#leaveClass()
    this.#state = 'closed'
    this.#hub.release(this.#class)
    this.#hub.remove(this)
    this.#dropWork()
  }

  /** The position that the peer has been brought to. */
  #reached (): number {
    if (this.#state !== 'live') return this.position
    return this.position >= this.#class.end ? Math.max(this.position, this.#hub.matched) : this.#class.standing(this.position)
  }

  #catchUp (): void {
    const [turn] = this.#turns
    if (this.position >= (turn?.at ?? this.#hub.position)) return turn ? this.#take(turn) : this.#goLive()
    const changes = this.#hub.read(this.position)
    if (changes instanceof Promise) return this.#await(changes.then(page => () => this.#send(page)))
    this.#send(changes)
    this.#hub.enqueue(this)
  }

  #goLive (): void {
    if (this.#hub.matched < this.#hub.position) return this.#hub.enqueue(this) // the class would be offered again what has been sent
    if (this.#syncing) this.#message({ type: 'synced', cursor: this.#hub.cursor(this.position) })
    this.#syncing = false
    this.#state = 'live'
    this.#class.add(this)
  }

  #rejoin (): void {
    if (this.position >= this.#class.end) {
      this.#class.lagging--
      this.#state = 'live'
      this.#class.add(this)
    } else if (this.#deliverBatch()) {
      this.#hub.enqueue(this)
    } else {
      this.#class.lagging--
    }
  }

  /** Sends the next bytes of the class, or turns to the log where the ring has moved on. */
  #deliverBatch (): boolean {
    const batch = this.#class.batchAfter(this.position)
    if (!batch) {
      this.#state = 'catching-up'
      this.#hub.enqueue(this)
      return false
    }
    this.#connection.write(batch.bytes)
    this.position = batch.upTo
    return true
  }

  /** Sends what the filter lets through of the changes behind the position, as far as the filter holds. */
  #send (changes: readonly EncodedChange[]): void {
    const limit = this.#turns[0]?.at ?? this.#hub.position
    const fragments: Fragment[] = []
    for (const change of changes) {
      if (change.position > limit) break
      this.position = change.position
      const fragment = this.#class.fragment(change)
      if (fragment) fragments.push(fragment)
    }
    const end = this.position
    for (const group of inGroups(fragments, fragment => fragment.bytes.length)) {
      this.#connection.write(this.#reader.joinForOne(group, this.#hub.log))
      this.position = group.at(-1)?.position ?? end
      if (this.#connection.blocked) return
    }
    this.position = end
  }

  /** Goes over to the next filter, by way of the difference where the subscriber keeps a view. */
  #take ({ at, filter, snapshot }: Turn): void {
    const finish = (): void => {
      this.#turns.shift()
      this.#adopt(filter)
      this.#message({ type: 'filtered', cursor: this.#hub.cursor(at), filter: toMessage(filter) })
    }
    if (snapshot) this.#begin(differenceOf(snapshot, this.#reader, this.#class.filter, filter, this.#hub.log, finish))
    else finish()
    this.#hub.enqueue(this)
  }

  #beginRecords (): void {
    const snapshot = this.#hub.log.snapshot(this.#class.filter.where)
    this.position = snapshot.position
    this.#begin(recordsOf(snapshot, this.#reader, this.#class.filter))
  }

  #begin (work: Piecework): void {
    this.#work = work
    this.#messages = []
    this.#state = 'snapshotting'
    this.#hub.enqueue(this)
  }

  /** Sends what the connection takes of the present piece, then asks for the next. */
  #sendPiece (): void {
    while (this.#messages.length > 0 && !this.#connection.blocked) this.#connection.write(this.#messages.shift() as Buffer)
    if (this.#messages.length === 0 && this.#work) this.#await(this.#piece(this.#work))
  }

  async #piece (work: Piecework): Promise<() => void> {
    const piece = await this.#hub.reads.run('stream', async () => this.#work === work ? await work.snapshot.next() : null)
    return () => {
      if (piece) this.#messages = work.encode(piece)
      else this.#finishWork()
    }
  }

  #finishWork (): void {
    const work = this.#work
    this.#work = null
    this.#state = 'catching-up'
    work?.snapshot.close()
    work?.finish()
  }

  /** Waits for the store, and does what its answer says, unless the subscription has moved on meanwhile. */
  #await (promise: Promise<() => void>): void {
    this.#awaited = promise
    const settle = (act: () => void): void => {
      if (this.#awaited !== promise) return
      this.#awaited = null
      try {
        act()
        this.#hub.enqueue(this)
      } catch (error) {
        this.#failed(error)
      }
    }
    promise.then(settle, (error: unknown) => settle(() => { throw error })).catch((error: unknown) => this.fault(error))
  }

  #failed (error: unknown): void {
    if (!(error instanceof ChangeStreamError)) return this.fault(error)
    if (error.code === 'gone') return this.lose(error)
    this.#hub.report(error)
    this.fail(error)
  }

  #adopt (filter: Filter): void {
    const former = this.#class
    this.#class = this.#hub.classOf(filter, this.#reader)
    this.#filter = filter
    this.#hub.release(former)
  }

  /** Stops being live or lagging, and stands where the peer has been brought to. */
  #leaveClass (): void {
    if (this.#state === 'live') {
      const reached = this.#reached()
      this.#class.remove(this)
      this.position = reached
    } else if (this.#state === 'lagging') {
      this.#class.lagging--
    } else {
      return
    }
    this.#state = 'catching-up'
  }

  #dropWork (): void {
    this.#awaited = null
    this.#work?.snapshot.close()
    this.#work = null
    this.#messages = []
    for (const turn of this.#turns) turn.snapshot?.close()
    this.#turns = []
  }

  #tell (error: ChangeStreamError): void {
    this.#message({ type: 'error', code: error.code, message: error.toProblem().detail })
  }

  #message (message: ControlMessage): void {
    this.#connection.message(message, this.#state !== 'snapshotting')
  }
}

import { ChangeStreamError } from '../protocol/errors.ts'
import { type Filter, toMessage } from '../protocol/filter.ts'
import type { ControlMessage } from '../protocol/messages.ts'
import { Connection, type Outlet } from './connection.ts'
import type { EncodedChange } from './encoded.ts'
import { type FilterChange, FilterChanges, snapshotOfBoth } from './filter-changes.ts'
import type { FilterClass } from './filter-class.ts'
import type { Hub } from './hub.ts'
import { LiveMember, type Owner } from './live-member.ts'
import type { Fragment, Reader } from './reader.ts'
import type { Subscriber } from './subscriber.ts'
import { Transfer, inGroups } from './transfer.ts'

/*
 *  start ──► snapshotting ──► catching-up ◄──► live
 *                 ▲              ▲   │           │ the connection is blocked
 *                 └── lose ──────┘   └─ lagging ◄┘
 *                                        (any) ──► closed
 */

/**
 * - `snapshotting`: sends the records of one position, or the difference that a new filter makes there, piece by piece
 * - `catching-up`: sends the log, page by page, until it stands at the live end
 * - `live`, `lagging`: is a member of its class
 */
export type State = 'snapshotting' | 'catching-up' | LiveMember['state'] | 'closed'

export interface SubscriptionOptions {
  readonly reader: Reader
  readonly filter: Filter
  /** Whether the subscriber keeps a view: it gets a snapshot where it can't get the changes, and the difference that a new filter makes. */
  readonly view: boolean
}

const mostComplaints = 10

/** One reader of the stream: a position in the log, a filter and a state (contract §3, §5). */
export class Subscription implements Subscriber, Owner {
  readonly #hub: Hub
  readonly #connection: Connection
  readonly #reader: Reader
  readonly #view: boolean
  #state: Transfer | 'catching-up' | LiveMember | 'closed' = 'catching-up'
  /** The peer has been brought up to here; a member goes on by itself. */
  #position = 0
  #class: FilterClass
  /** As the subscriber wrote it; the class may have got the same from another. */
  #filter: Filter
  readonly #changes = new FilterChanges()
  /** The store's answer that it waits for. */
  #awaited: Promise<() => void> | null = null
  /** Whether `synced` is due at the live end. */
  #syncing = true
  #complaints = 0

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
    return this.#changes.last?.filter ?? this.#filter
  }

  get state (): State {
    if (typeof this.#state === 'string') return this.#state
    return this.#state instanceof Transfer ? 'snapshotting' : this.#state.state
  }

  /** Starts behind `position`. */
  startAt (position: number): void {
    this.#position = position
    this.#message({ type: 'ready', cursor: this.#hub.cursor(position), filter: toMessage(this.#filter) })
    this.step()
  }

  /** Starts with the records of now; after a `reset` where there was a cursor to start at. */
  startWithSnapshot (lost: ChangeStreamError | null): void {
    this.#beginView()
    this.#message({ type: 'ready', cursor: this.#hub.cursor(this.#position), filter: toMessage(this.#filter) })
    if (lost) this.#message({ type: 'reset', reason: lost.message })
  }

  /** The log can't be followed from where it stands: starts again if it keeps a view, else ends. */
  lose (error: ChangeStreamError): void {
    if (this.#state === 'closed') return
    if (!this.#view) return this.fail(error)
    const change = this.#changes.last
    this.#stop('catching-up')
    if (change) this.#adopt(change.filter)
    this.#syncing = true
    this.#beginView()
    this.#message({ type: 'reset', reason: error.message })
    if (change) this.#message({ type: 'filtered', cursor: this.#hub.cursor(this.#position), filter: toMessage(change.filter) })
  }

  /** Whether the subscriber may ask for another filter, which ends it if it may not. To be asked before the filter is looked at: that is what costs. */
  mayRefilter (): boolean {
    if (this.#state === 'closed') return false
    if (this.#changes.admit()) return true
    this.fail(new ChangeStreamError('too-many', 'too many filters at once'))
    return false
  }

  /** Goes by another filter for every change committed from now on. */
  refilter (filter: Filter): void {
    if (this.#state === 'closed') return
    const former = this.filter
    const redrawn = this.#view && former.kinds !== 'all' && former.kinds !== filter.kinds
    const snapshot = this.#view && !redrawn ? snapshotOfBoth(this.#hub.log, former, filter) : null
    this.#changes.push({ at: this.#hub.position, filter, snapshot })
    if (redrawn) return this.lose(new ChangeStreamError('gone', `a view that was told of ${former.kinds} alone starts again`))
    this.#leaveClass()
    this.#hub.enqueue(this)
  }

  /** The outlet takes bytes again: the peer reads. */
  drained (): void {
    this.alive()
    if (this.#state !== 'closed' && this.state !== 'live') this.#hub.enqueue(this)
  }

  /** The peer has given a sign of life. */
  alive (): void {
    this.#connection.alive()
  }

  /** Does the next bit of work, unless the outlet or the store must be waited for. */
  step (): void {
    if (this.#awaited || this.#connection.blocked || this.#state === 'closed') return
    if (this.#state === 'catching-up') this.#catchUp()
    else if (this.#state instanceof Transfer) this.#sendPiece(this.#state)
    else if (this.#state.catchUp()) this.#hub.enqueue(this)
  }

  overtaken (position: number): void {
    this.#position = position
    this.#state = 'catching-up'
    this.#hub.enqueue(this)
  }

  /** One beat of the heart: a sign of life for the peer, and a look whether it gives one. */
  beat (): void {
    if (this.#state === 'closed') return
    const pulse = this.#connection.beat()
    if (pulse === 'lost') {
      this.close()
      this.#connection.destroy()
    } else if (pulse === 'quiet') {
      if (this.#state instanceof Transfer && this.#state.content === 'view') this.#connection.write(this.#reader.records([])) // no cursor names what has been sent of it
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
    try {
      this.#stop('closed')
    } finally {
      this.#hub.release(this.#class)
      this.#hub.remove(this)
    }
  }

  /** The position that the peer has been brought to. */
  #reached (): number {
    return this.#state instanceof LiveMember ? this.#state.reached(this.#hub.matched) : this.#position
  }

  #catchUp (): void {
    const change = this.#changes.next
    if (this.#position >= (change?.at ?? this.#hub.position)) return change ? this.#begin(change) : this.#goLive()
    const changes = this.#hub.read(this.#position)
    if (changes instanceof Promise) return this.#await(changes.then(page => () => this.#send(page)))
    this.#send(changes)
    this.#hub.enqueue(this)
  }

  #goLive (): void {
    if (this.#hub.matched < this.#hub.position) return this.#hub.enqueueOnceMatched(this) // the class would be offered again what has been sent
    if (this.#syncing) this.#message({ type: 'synced', cursor: this.#hub.cursor(this.#position) })
    this.#syncing = false
    this.#state = new LiveMember(this.#class, this.#connection, this.#position, this)
  }

  /** Sends what the filter lets through of the changes behind the position, as far as the filter holds. */
  #send (changes: readonly EncodedChange[]): void {
    const limit = this.#changes.next?.at ?? this.#hub.position
    const fragments: Fragment[] = []
    for (const change of changes) {
      if (change.position > limit) break
      this.#position = change.position
      const fragment = this.#class.fragment(change)
      if (fragment) fragments.push(fragment)
    }
    const end = this.#position
    for (const group of inGroups(fragments, fragment => fragment.bytes.length)) {
      this.#connection.write(this.#reader.joinForOne(group, this.#hub.log))
      this.#position = group.at(-1)?.position ?? end
      if (this.#connection.blocked) return
    }
    this.#position = end
  }

  #beginView (): void {
    const snapshot = this.#hub.log.snapshot(this.#class.filter.where)
    this.#position = snapshot.position
    this.#state = Transfer.ofView(snapshot, this.#reader, this.#class.filter)
    this.#hub.enqueue(this)
  }

  /** Goes over to the next filter, by way of the difference where the subscriber keeps a view. */
  #begin (change: FilterChange): void {
    const { filter, snapshot } = change
    if (snapshot) this.#state = Transfer.ofDifference(snapshot, this.#reader, this.#class.filter, filter, this.#hub.log)
    else this.#complete(change)
    this.#hub.enqueue(this)
  }

  #complete ({ at, filter }: FilterChange): void {
    this.#changes.shift()
    this.#adopt(filter)
    this.#message({ type: 'filtered', cursor: this.#hub.cursor(at), filter: toMessage(filter) })
  }

  /** Sends what the connection takes of the present piece, then asks for the next. */
  #sendPiece (transfer: Transfer): void {
    if (!transfer.write(this.#connection)) return
    this.#await(transfer.next(this.#hub.reads).then(piece => () => piece ? transfer.take(piece) : this.#sent(transfer)))
  }

  #sent (transfer: Transfer): void {
    this.#state = 'catching-up'
    transfer.close()
    const change = this.#changes.next
    if (transfer.content === 'difference' && change) this.#complete(change)
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

  /** Is a member no more, and stands where the peer has been brought to. */
  #leaveClass (): void {
    if (!(this.#state instanceof LiveMember)) return
    const member = this.#state
    this.#position = this.#reached()
    this.#state = 'catching-up'
    member.leave()
  }

  /** Stops what it does, and forgets what it was to do. */
  #stop (state: 'catching-up' | 'closed'): void {
    this.#leaveClass()
    const transfer = this.#state instanceof Transfer ? this.#state : null
    this.#state = state
    this.#awaited = null
    transfer?.close()
    this.#changes.clear()
  }

  #tell (error: ChangeStreamError): void {
    this.#message({ type: 'error', code: error.code, message: error.toProblem().detail })
  }

  #message (message: ControlMessage): void {
    this.#connection.message(message, !(this.#state instanceof Transfer))
  }
}

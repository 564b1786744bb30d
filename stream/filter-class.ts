import { type Filter, fieldsKey } from '../protocol/filter.ts'
import { conditionsOf } from '../protocol/where.ts'
import type { EncodedChange } from './encoded.ts'
import { type Judge, type Op, judgeOf } from './filter.ts'
import type { Cursors, Fragment, Reader } from './reader.ts'
import { Ring } from './ring.ts'

/** A subscription at the live end, as its class sees it. */
export interface Member {
  /** Every fragment up to here has been written to it. */
  readonly position: number
  /** Its index among the members; the class keeps it. */
  place: number
  /** Writes what the class has behind `position`, and says whether it is at the end now: if not, it is no longer a member. */
  deliver (): boolean
  /** Something failed that may have touched it: it leaves the class, and ends. */
  fault (error: unknown): void
}

/** Bytes for whoever stands at one position, and the position they lead to. */
export interface Batch { readonly bytes: Buffer, readonly upTo: number }

/** Bytes that one write may carry. */
const batchSize = 65_536
/** Batches that are kept for others who stand at the same position. */
const mostBatches = 64
/** Members that are written to between two looks at the clock. */
const membersPerLook = 16

/**
 * The subscribers with equal filters and the same reader. A change is matched once for all of them and encoded once; the
 * same bytes go to every socket. The class keeps a ring of its newest fragments, and a member is a position in it.
 */
export class FilterClass {
  readonly key: string
  readonly filter: Filter
  readonly reader: Reader
  /** About what it costs to match a change: 1, and 1 for each condition. */
  readonly weight: number
  /** Subscriptions that use it, members or not. */
  users = 0
  /** Subscriptions that have fallen behind and hope to find what they miss in the ring. */
  lagging = 0
  readonly #judge: Judge
  /** Names of the forms in which it is told of changes. */
  readonly #forms: Readonly<Record<Op, string>>
  readonly #ring: Ring<Fragment>
  readonly #members: Member[] = []
  readonly #batches = new Map<number, Batch>()
  readonly #log: Cursors
  /** Position of the newest fragment. */
  #end: number
  /** How many members stand before `#end`. */
  #behind = 0
  /** A member that stands between these two has seen everything up to the second: nothing between concerns the class. */
  #idleFrom = 0
  #idleTo = 0
  /** Whose turn it is: always going round, nobody is always last. */
  #next = 0
  /** How many members have their turn yet in the pass that is on. */
  #turns = 0
  /** Where the pass that is on will have brought every member at least. */
  #passed = 0
  /** Bytes taken before the pass that is on began, and since. */
  #owed = 0
  #fresh = 0

  constructor (key: string, filter: Filter, reader: Reader, { log, position, ringSize }: { log: Cursors, position: number, ringSize: number }) {
    this.key = key
    this.filter = filter
    this.reader = reader
    this.weight = 1 + conditionsOf(filter.where)
    this.#judge = judgeOf(filter)
    const form = `${reader.name} ${fieldsKey(filter.fields)}`
    this.#forms = { save: `${form} save`, delete: `${form} delete`, leave: `${form} leave` }
    this.#log = log
    this.#end = position
    this.#ring = new Ring(position, ringSize, fragment => fragment.bytes.length)
  }

  /** Position of the newest change that the class is told of. */
  get end (): number {
    return this.#end
  }

  /** What the class is told of a change, or `null`. */
  fragment (change: EncodedChange): Fragment | null {
    const op = this.#judge(change.entry)
    return op && { position: change.position, bytes: change.form(this.#forms[op], this.reader, op, this.filter.fields) }
  }

  /** Takes a change at the live end, and says whether members wait for it now. */
  take (change: EncodedChange): boolean {
    if (this.#members.length === 0 && this.lagging === 0) return false
    const fragment = this.fragment(change)
    if (!fragment) return false
    if (this.#behind === 0) {
      if (this.lagging === 0) this.#ring.dropTo(this.#end)
      this.#idleFrom = this.#end
      this.#idleTo = fragment.position - 1
    }
    this.#ring.push(fragment)
    this.#batches.clear()
    this.#end = fragment.position
    this.#behind = this.#members.length
    if (this.#behind > 0) this.#fresh += fragment.bytes.length
    return this.#behind > 0
  }

  add (member: Member): void {
    if (this.#members.length === 0 && this.lagging === 0) this.#rest(member.position)
    member.place = this.#members.push(member) - 1
    if (member.position < this.#end) this.#behind++
  }

  remove (member: Member): void {
    if (member.position < this.#end) this.#behind--
    this.#take(member)
  }

  /** The most bytes that a member waits for. */
  get backlog (): number {
    return this.#behind > 0 ? this.#owed + this.#fresh : 0
  }

  /** Whether members wait for something. */
  get due (): boolean {
    return this.#behind > 0
  }

  /** Gives every member its turn in the pass that begins. */
  beginPass (): void {
    this.#turns = this.#members.length
    this.#passed = this.#end
    this.#owed += this.#fresh
    this.#fresh = 0
  }

  /** Writes to the members that are behind and have their turn yet, until the time is over; says whether all have had it. */
  flush (deadline: number): boolean {
    let looked = 0
    while (this.#behind > 0 && this.#turns > 0) {
      if (this.#next >= this.#members.length) this.#next = 0
      const member = this.#members[this.#next++]
      if (!member || member.position >= this.#end) continue
      this.#turns--
      this.#deliver(member)
      if (this.#members[member.place] !== member) this.#next-- // another has taken its place
      if (++looked % membersPerLook === 0 && performance.now() > deadline) break
    }
    if (this.#behind > 0 && this.#turns > 0) return false
    this.#owed = 0
    if (this.#behind > 0) {
      if (this.lagging === 0) this.#ring.dropTo(this.#passed)
      return true
    }
    this.#fresh = 0
    this.#batches.clear()
    if (this.lagging === 0) this.#ring.dropTo(this.#end)
    return true
  }

  #deliver (member: Member): void {
    this.#behind--
    try {
      if (!member.deliver()) this.#take(member)
    } catch (error) {
      if (member.position < this.#end) this.#behind++ // as it was, since `remove` counts
      member.fault(error)
    }
  }

  /** The next bytes for a member at `position`, or `null` where the ring has moved past it. */
  batchAfter (position: number): Batch | null {
    const known = this.#batches.get(position)
    if (known) return known
    const fragments = this.#ring.after(position, batchSize)
    const last = fragments?.at(-1)
    if (!fragments || !last) return null
    const batch = { bytes: this.reader.join(fragments, this.#log), upTo: last.position }
    if (this.#behind === 0) return batch
    if (this.#batches.size >= mostBatches) this.#batches.clear()
    this.#batches.set(position, batch) // others may stand there too
    return batch
  }

  /** How far a member at `position` has really been brought. */
  standing (position: number): number {
    return position >= this.#idleFrom ? Math.max(position, this.#idleTo) : position
  }

  /** It can't be told of the change at `position`: its members end, and those who lag find nothing in the ring. */
  abandon (position: number, error: unknown): void {
    const members = [...this.#members]
    for (const member of members) member.fault(error)
    this.#rest(position)
  }

  /** Forgets everything: the log is another one. Members that are still there are told to look, and are members no more. */
  restart (position: number): void {
    this.#behind = this.#turns = this.#passed = this.#owed = this.#fresh = 0
    this.#rest(position)
    for (const member of this.#members.splice(0)) member.deliver()
  }

  #rest (position: number): void {
    this.#ring.restart(position)
    this.#batches.clear()
    this.#end = this.#idleFrom = this.#idleTo = position
  }

  #take (member: Member): void {
    const last = this.#members.pop()
    if (!last || last === member) return
    this.#members[member.place] = last
    last.place = member.place
  }
}

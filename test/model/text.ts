import { isDeepStrictEqual } from 'node:util'
import { type ModelLog, type Told, readCursor } from './log.ts'
import type { Session } from './session.ts'

/** After `position`, with so many commands obeyed, so many texts are explained. */
interface State { readonly position: number, readonly obeyed: number, readonly explained: number }

/**
 * Checks what came over a text session. Texts have no positions, and a command takes effect somewhere between its sending
 * and its reading, so all ways in which it could have come about are followed; one must lead to the end.
 */
export class TextTranscript {
  readonly #session: Session
  readonly #model: ModelLog
  #states: State[] | null = null
  #checked = false

  constructor (session: Session, model: ModelLog) {
    this.#session = session
    this.#model = model
  }

  check (floor: number): void {
    const { texts, code, left, commands } = this.#session
    if (this.#checked) return
    this.#checked = code !== null || left
    const gone = texts.at(-1)?.startsWith('Error [gone]') === true
    if (gone !== (code === 4410)) this.#fail('only an error comes with 4410')
    const count = texts.length - (gone ? 1 : 0)
    this.#states ??= this.#starts()
    if (this.#states.length === 0) {
      if (code !== 4410 || count > 0) this.#fail('it was not told that the log is gone')
      return
    }
    const reached = this.#follow(this.#states, count)
    const ends = reached.filter(state => state.explained === count && (this.#checked || (state.position === this.#model.head && state.obeyed === commands.length)))
    if (ends.length === 0) this.#fail(`no order of things explains this; the model has ${JSON.stringify(this.#model.told(this.#session.opening.filter, this.#states[0]?.position ?? 0, this.#model.head))}`)
    if (gone && !ends.some(state => state.position < floor)) this.#fail(`the log reaches back to ${floor}`)
    if (code !== null && ![1000, 1001, 1005, 1006, 4410].includes(code)) this.#fail(`it ended with ${code}`)
    this.#states = ends
  }

  /** Where it may have begun; nowhere if the log did not reach back. */
  #starts (): State[] {
    const { opening: { since }, before, after, code } = this.#session
    if (since === 'now' || since === 'start') {
      const [least, most] = since === 'start' ? [before.floor, after.floor] : [before.head, after.head]
      return Array.from({ length: most - least + 1 }, (_, index) => ({ position: least + index, obeyed: 0, explained: 0 }))
    }
    const { epoch, position } = readCursor(since)
    if (!this.#model.hasEpoch(epoch) || position > after.head) return []
    return position < after.floor && code === 4410 && this.#session.texts.length === 1 ? [] : [{ position, obeyed: 0, explained: 0 }]
  }

  #follow (starts: readonly State[], count: number): State[] {
    const reached = new Map<string, State>()
    const waiting = [...starts]
    for (let state = waiting.pop(); state; state = waiting.pop()) {
      const key = `${state.position} ${state.obeyed} ${state.explained}`
      if (reached.has(key)) continue
      reached.set(key, state)
      const { position, obeyed, explained } = state
      const command = this.#session.commands[obeyed]
      if (command && position >= command.from && position <= command.upTo) waiting.push({ position, obeyed: obeyed + 1, explained })
      if (position >= this.#model.head || (command && position >= command.upTo)) continue
      const { where } = this.#session.opening.filter
      const filter = this.#session.commands[obeyed - 1]?.kinds ?? this.#session.opening.filter.filter
      const [told] = this.#model.told({ filter, where, fields: null }, position, position + 1)
      if (!told) waiting.push({ position: position + 1, obeyed, explained })
      else if (explained < count && this.#says(explained, told)) waiting.push({ position: position + 1, obeyed, explained: explained + 1 })
    }
    return [...reached.values()]
  }

  #says (index: number, told: Told): boolean {
    const [, verb, id, record] = /^(Saved|Deleted|Left) thing \[([^\]]*)\](?: (.*))?$/s.exec(this.#session.texts[index] ?? '') ?? []
    const verbs: Readonly<Record<string, string>> = { save: 'Saved', delete: 'Deleted', leave: 'Left' }
    return verb === verbs[told.op] && id === told.id && isDeepStrictEqual(record && JSON.parse(record), told.record)
  }

  #fail (why: string): never {
    const { opening, texts, commands, code, before, after } = this.#session
    throw new Error([why, JSON.stringify({ opening, commands, code, before, after }), ...texts.map(text => text.slice(0, 300))].join('\n  '))
  }
}

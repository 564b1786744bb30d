import { createHash } from 'node:crypto'

export interface Change { readonly op: string, readonly id: string, readonly record?: { readonly id: string } }

/** Names a record's content. */
export const digest = (record: unknown): string => createHash('sha1').update(JSON.stringify(record)).digest('base64')

/** What one polite subscriber has been told: the changes one by one, or the view that they make. */
export class Observer {
  readonly name: string
  readonly told: string[] = []
  readonly view = new Map<string, string>()
  cursor = ''
  synced = false
  ended: string | null = null
  close: () => void = () => {}

  constructor (name: string) {
    this.name = name
  }

  change ({ op, id, record }: Change): void {
    this.told.push(`${op} ${id}`)
    if (op === 'save') this.view.set(id, digest(record))
    else this.view.delete(id)
  }

  /** One message of the JSON stream. */
  message (message: { type: string, cursor?: string, records?: { id: string }[], changes?: Change[], code?: string }): void {
    if (message.type === 'reset') this.view.clear()
    for (const record of message.records ?? []) this.view.set(record.id, digest(record))
    for (const change of message.changes ?? []) this.change(change)
    if (message.type === 'synced') this.synced = true
    if (message.cursor !== undefined && (message.type === 'changes' || message.type === 'synced' || message.type === 'bookmark')) this.cursor = message.cursor
    if (message.type === 'error') this.ended = `error ${message.code}`
  }

  /** One event: a change by the name of its `op`, or another message by its `type`. */
  event (block: string): void {
    const fields = block.split('\n').filter(line => !line.startsWith(':')).map(line => /^([^:]*):? ?(.*)$/s.exec(line)?.slice(1) ?? [])
    const event = fields.find(([name]) => name === 'event')?.[1]
    const data = fields.filter(([name]) => name === 'data').map(([, value]) => value).join('\n')
    const id = fields.find(([name]) => name === 'id')?.[1]
    if (data !== '' && event !== undefined) {
      const message = JSON.parse(data) as Change & { type: string }
      if (event === 'save' || event === 'delete' || event === 'leave') this.change(message)
      else this.message({ ...message, type: event })
    }
    if (id) this.cursor = id
  }

  /** One frame of the text stream: `Saved thing [<id>] …`. */
  text (frame: string): void {
    const [, verb = '', id = ''] = /^(\w+) \w+ \[([^\]]*)\]/.exec(frame) ?? []
    this.told.push(`${verb === 'Saved' ? 'save' : verb.toLowerCase().replace(/d$/, '')} ${id}`)
  }
}

export function sameMap (one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): boolean {
  return one.size === other.size && [...one].every(([id, value]) => other.get(id) === value)
}

export function differences (view: ReadonlyMap<string, string>, records: ReadonlyMap<string, string>): string {
  const lacks = [...records.keys()].filter(id => !view.has(id))
  const more = [...view.keys()].filter(id => !records.has(id))
  const others = [...view].filter(([id, value]) => records.has(id) && records.get(id) !== value).map(([id]) => id)
  const some = (ids: string[]): string => `${ids.length} ${JSON.stringify(ids.slice(0, 2)).slice(0, 200)}`
  return `it lacks ${some(lacks)}, has ${some(more)} more, ${some(others)} otherwise`
}

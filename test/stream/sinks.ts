import { Person } from '../../plugin/options.ts'
import { memory } from '../../repository/memory.ts'
import { Repository } from '../../repository/repository.ts'
import { Resource } from '../../repository/resource.ts'
import type { OpenStore } from '../../repository/store.ts'
import type { Outlet } from '../../stream/connection.ts'
import { payloadsOf } from '../../stream/frame.ts'
import { Gate } from '../../stream/gate.ts'
import { Hub, type HubSettings } from '../../stream/hub.ts'

/** An outlet that keeps the messages that are written to it. */
export class Sink implements Outlet {
  blocked = false
  /** The code it was closed with, 1006 where it was destroyed. */
  code: number | null = null
  readonly messages: Array<Record<string, unknown>> = []

  /** Positions of the changes in them. */
  get positions (): number[] {
    return this.messages.flatMap(message => (message['changes'] ?? []) as Array<{ position: number }>).map(({ position }) => position)
  }

  write (bytes: Buffer): void {
    for (const payload of payloadsOf(bytes)) this.messages.push(JSON.parse(payload.toString()) as Record<string, unknown>)
  }

  ping (): boolean {
    return false
  }

  close (code: number): void {
    this.code = code
  }

  destroy (): void {
    this.code ??= 1006
  }
}

const defaults: HubSettings = {
  heartbeat: 15_000, tailSize: 65_536, cacheSize: 1_048_576, ringSize: 1_048_576, slice: 5, rest: 0, backlog: 1e9, overloadWait: 0, overload: 'write', maxPage: 1_048_576
}

/** A repository and its stream, without a server; `errors` has what was reported. */
export async function openHub (settings: Partial<HubSettings> = {}, openStore: OpenStore = memory(), onError?: (error: unknown) => void): Promise<{ people: Repository<typeof Person>, hub: Hub, errors: unknown[] }> {
  const all = { ...defaults, ...settings }
  const resource = new Resource({ name: 'people', noun: 'person', schema: Person })
  const errors: unknown[] = []
  const report = onError ?? (error => errors.push(error))
  const gate = new Gate(all)
  const people = new Repository(resource, await openStore(resource), report, () => gate.pass())
  const hub = new Hub(people.log, all, gate, report)
  people.on('committed', entries => hub.append(entries)).on('reset', () => hub.reset())
  return { people, hub, errors }
}

import { TypeCompiler } from '@sinclair/typebox/compiler'
import { ChangeStreamError } from '../protocol/errors.ts'
import { kinds, refine } from '../protocol/filter.ts'
import { maxDepth, parseJson, show } from '../protocol/json.ts'
import { ClientMessage } from '../protocol/messages.ts'
import type { Properties } from '../protocol/properties.ts'
import type { Subscription } from '../stream/subscription.ts'

const clientMessage = TypeCompiler.Compile(ClientMessage)

/** Acts on what a text client says: `saves`, `deletes`, `stop`; anything else is `all` (contract §3.1). */
export function obeyText (subscription: Subscription, text: string): void {
  const command = text.trim().toLowerCase()
  if (command === 'stop') return subscription.end(1000, 'stopped')
  const asked = kinds.find(kind => kind === command) ?? 'all'
  if (asked !== subscription.filter.kinds && subscription.mayRefilter()) subscription.refilter({ ...subscription.filter, kinds: asked })
}

/** Acts on a JSON client's message, or tells it what is wrong with it (contract §3.2). */
export function obeyJson (subscription: Subscription, text: string, properties: Properties): void {
  if (subscription.state === 'closed') return
  try {
    const message = readMessage(text)
    if (message.type === 'stop') return subscription.end(1000, 'stopped')
    if (subscription.mayRefilter()) subscription.refilter(refine(subscription.filter, message, properties))
  } catch (error) {
    if (!(error instanceof ChangeStreamError)) throw error
    subscription.complain(error)
  }
}

function readMessage (text: string): ClientMessage {
  let message: unknown
  try {
    message = parseJson(text)
  } catch {
    throw new ChangeStreamError('invalid-message', `a message must be JSON, such as {"type":"stop"}, of at most ${maxDepth} levels`)
  }
  if (clientMessage.Check(message)) return message
  const type = typeof message === 'object' && message !== null && 'type' in message ? message.type : undefined
  if (type !== 'filter' && type !== 'stop') throw new ChangeStreamError('invalid-message', `type must be filter or stop, not ${type === undefined ? 'left out' : show(type)}`)
  const known = type === 'filter' ? 'filter (all, saves, deletes), where and fields (a list of properties)' : 'nothing else'
  throw new ChangeStreamError('invalid-message', `a ${type} message has ${known}`)
}

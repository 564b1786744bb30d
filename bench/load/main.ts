import { attack, prepareAttack } from './attacks.ts'
import { politely } from './polite.ts'
import { get, post, pour } from './posters.ts'
import { close, open, pause, received, settle, start } from './readers.ts'
import { drain, gather, read, scatter } from './stream.ts'

/** What a load process does when told so. */
const methods = { open, close, start, settle, received, pause, post, get, pour, read, gather, scatter, drain, prepareAttack, attack, politely }

export type Methods = typeof methods

interface Call { readonly id: number, readonly method: keyof Methods, readonly parameters: never }

process.on('message', async ({ id, method, parameters }: Call) => {
  try {
    process.send?.({ id, result: await methods[method](parameters) })
  } catch (error) {
    process.send?.({ id, error: error instanceof Error ? error.message : String(error) })
  }
})
process.on('disconnect', () => process.exit())

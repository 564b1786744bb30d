import { inspect } from 'node:util'
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { whereLimits } from '../protocol/properties.ts'
import { defaultPage } from '../repository/list.ts'
import { memory } from '../repository/memory.ts'
import { listLimits } from '../repository/read-budget.ts'
import { Resource } from '../repository/resource.ts'
import type { OpenStore } from '../repository/store.ts'

/** The default resource. */
export const Person = Type.Object({
  firstName: Type.String({ minLength: 1 }),
  lastName: Type.String({ minLength: 1 }),
  age: Type.Integer({ minimum: 0, description: 'Whole years' }),
  job: Type.String({ minLength: 1 })
}, { additionalProperties: false })

const milliseconds = (description: string) => Type.Optional(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1, description }))
const bytes = (description: string) => Type.Optional(Type.Integer({ minimum: 1, description }))
const path = (description: string) => Type.Optional(Type.String({ pattern: '^/', description }))

/** The options that are plain data. */
const Settings = Type.Object({
  prefix: Type.Optional(Type.String({ description: 'Goes before both paths' })),
  path: path('Where the records are; by default the resource\'s name'),
  updatesPath: path('Where the stream is'),
  maxPage: bytes('The most that a page of a list or of the feed holds; one record may be larger'),
  maxRecord: bytes('The largest record, as JSON'),
  maxBatch: Type.Optional(Type.Integer({ minimum: 1, description: 'The most records in one POST' })),
  maxLists: Type.Optional(Type.Integer({ minimum: 1, description: 'The most lists that look for their records at once, in the whole app' })),
  listWait: milliseconds('The longest that a list waits for others to end'),
  maxConditions: Type.Optional(Type.Integer({ minimum: 1, description: 'The most conditions in a where' })),
  maxLevels: Type.Optional(Type.Integer({ minimum: 1, maximum: 40, description: 'The most levels of $and and $or in a where' })),
  heartbeat: milliseconds('Time between two signs of life on a stream'),
  maxMessage: bytes('The largest message that a client of the stream may send'),
  tailSize: bytes('How much of the newest changes is kept in memory, once for all subscribers'),
  cacheSize: bytes('How much of what subscribers catching up have read of the log is kept for others'),
  ringSize: bytes('How much of what the subscribers of one filter are told is kept for those a little behind'),
  highWaterMark: bytes('How much may wait in one socket before it is not written to'),
  compression: Type.Optional(Type.Boolean({ description: 'Whether to send deflated frames to clients that take them' })),
  slice: milliseconds('The longest that the stream\'s work holds the event loop at a time'),
  rest: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1, description: 'The longest that other work goes before the stream\'s, when there is much of both' })),
  backlog: bytes('How much subscribers at the live end may have to wait for before writes are held back'),
  overloadWait: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1, description: 'The longest that a write is held back' })),
  overload: Type.Optional(Type.Union([Type.Literal('write'), Type.Literal('refuse')], { description: 'What becomes of a write that has been held back that long' }))
}, { additionalProperties: false })

const ResourceSettings = Type.Object({
  name: Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_-]{0,63}$' }),
  noun: Type.Optional(Type.String({ minLength: 1, pattern: '^[^\\r\\n]*$' })),
  schema: Type.Object({}, { additionalProperties: true })
}, { additionalProperties: false })

const defaults = {
  updatesPath: '/updates',
  maxRecord: 1_048_576,
  maxBatch: 1000,
  maxPage: defaultPage,
  ...listLimits,
  maxConditions: whereLimits.conditions,
  maxLevels: whereLimits.levels,
  heartbeat: 15_000,
  maxMessage: 16_384,
  tailSize: 65_536,
  cacheSize: 8_388_608,
  ringSize: 1_048_576,
  highWaterMark: 16_384,
  compression: false,
  slice: 5,
  rest: 10,
  backlog: 49_152,
  overloadWait: 1000,
  overload: 'write'
} as const

export interface ChangeStreamOptions extends Static<typeof Settings> {
  /** What is streamed, people by default. `noun` is what the text stream calls one of them, by default the name. */
  readonly resource?: { readonly name: string, readonly noun?: string, readonly schema: TSchema }
  /** Where records and log are kept: `memory()` by default, or what `sqlite()` of `fastify-change-stream/sqlite` returns. */
  readonly repository?: OpenStore
}

/** The options with their defaults, and the resource made of them. */
export type ReadOptions = Required<Omit<Static<typeof Settings>, 'prefix'>> & {
  readonly prefix?: string
  readonly resource: Resource
  readonly repository: OpenStore
}

const checkSettings = TypeCompiler.Compile(Settings)
const checkResource = TypeCompiler.Compile(ResourceSettings)

/** @throws {TypeError} saying which option is bad, what was expected, and what was given */
export function readOptions (options: ChangeStreamOptions): ReadOptions {
  const { resource: given, repository = memory(), ...settings } = options
  assertFits('', checkSettings, Object.fromEntries(Object.entries(settings).filter(([name]) => !fastifysOwn.includes(name))))
  if (given !== undefined) assertFits('resource', checkResource, given)
  if (typeof repository !== 'function') throw refusal('repository', 'must be memory(), or what sqlite() returns', repository)
  const { name, noun = name, schema } = given ?? { name: 'people', noun: 'person', schema: Person }
  const all = { ...defaults, path: `/${name}`, ...settings, repository }
  const limits = { conditions: all.maxConditions, levels: all.maxLevels }
  return { ...all, resource: new Resource({ name, noun, schema, maxRecord: all.maxRecord, limits }) }
}

/** Options of `register` that Fastify reads itself. */
const fastifysOwn = ['logLevel', 'logSerializers']

function assertFits<T extends TSchema> (at: string, check: TypeCheck<T>, value: unknown): void {
  const error = check.Errors(value).First()
  if (!error) return
  const name = `${at}${error.path}`.split('/').filter(part => part !== '').join('.') || 'resource'
  throw refusal(name, `is not valid: ${error.message}`, error.value)
}

function refusal (name: string, expected: string, got: unknown): TypeError {
  return new TypeError(`fastify-change-stream: option "${name}" ${expected}, got ${inspect(got, { depth: 1, breakLength: Infinity })}`)
}

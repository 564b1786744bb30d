import { parseArgs } from 'node:util'
import { Ajv } from 'ajv'

export interface Settings {
  readonly port: number
  readonly host: string
  readonly database: string
  readonly logLevel: string
  /** How long requests that are not whole may take when the server is stopped, milliseconds. */
  readonly closeGrace: number
}

const properties = {
  port: { type: 'integer', minimum: 0, maximum: 65_535, default: 3000 },
  host: { type: 'string', minLength: 1, default: '127.0.0.1' },
  database: { type: 'string', minLength: 1, default: 'people.db' },
  logLevel: { enum: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], default: 'info' },
  closeGrace: { type: 'integer', minimum: 0, maximum: 10_000, default: 2000 }
} as const

type Name = keyof typeof properties

const integers: ReadonlySet<string> = new Set(Object.entries(properties).filter(([, property]) => 'type' in property && property.type === 'integer').map(([name]) => name))

/** Each setting's flag and variable, and what it is. */
const names: Readonly<Record<Name, { flag: string, variable: string, help: string }>> = {
  port: { flag: 'port', variable: 'PORT', help: 'where to listen; 0 for any free port' },
  host: { flag: 'host', variable: 'HOST', help: 'on which address' },
  database: { flag: 'database', variable: 'DATABASE', help: 'a SQLite file; :memory: keeps nothing' },
  logLevel: { flag: 'log-level', variable: 'LOG_LEVEL', help: properties.logLevel.enum.join(', ') },
  closeGrace: { flag: 'close-grace', variable: 'CLOSE_GRACE', help: 'milliseconds that half a request has when the server is stopped' }
}

const validate = new Ajv({ useDefaults: true }).compile<Settings>({ type: 'object', properties })

export const help = `Serves people at /people and the stream of their changes at /updates.

Usage: fastify-change-stream [options]

${(Object.keys(names) as Name[]).map(name => {
  const { flag, variable, help: text } = names[name]
  return `  --${flag.padEnd(12)} ${variable.padEnd(12)} ${text} (${properties[name].default})`
}).join('\n')}
  --help                      this text

A flag goes before its environment variable.`

/**
 * Reads the command line and the environment.
 * @returns `null` where help is asked for
 * @throws {TypeError} naming what is bad
 */
export function readSettings (args: readonly string[], env: Readonly<Record<string, string | undefined>>): Settings | null {
  const options = Object.fromEntries(Object.values(names).map(({ flag }) => [flag, { type: 'string' }] as const))
  const { values } = parseArgs({ args: [...args], options: { ...options, help: { type: 'boolean', short: 'h' } }, strict: true })
  if (values.help) return null
  const flags = values as Readonly<Record<string, string | boolean | undefined>>
  const settings: Record<string, unknown> = {}
  const source: Record<string, string> = {}
  for (const [name, { flag, variable }] of Object.entries(names)) {
    const value = flags[flag] ?? (env[variable] === '' ? undefined : env[variable])
    if (value === undefined) continue
    settings[name] = integers.has(name) && typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value
    source[name] = flags[flag] === undefined ? variable : `--${flag}`
  }
  const given = { ...settings }
  if (validate(settings)) return settings
  const [error] = validate.errors ?? []
  const name = error?.instancePath.slice(1) ?? ''
  const allowed = error?.keyword === 'enum' ? `must be one of ${properties.logLevel.enum.join(', ')}` : error?.message
  throw new TypeError(`${source[name]} ${allowed}, not "${String(given[name])}"`)
}

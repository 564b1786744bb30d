import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import createRouter from 'find-my-way'

/** Rewrites a request's URL before it is routed, as the app's option `rewriteUrl` says. */
type Rewrite = (this: FastifyInstance, request: IncomingMessage) => string

/** The options of a router that say how an address is found. */
const options = ['caseSensitive', 'ignoreTrailingSlash', 'ignoreDuplicateSlashes', 'maxParamLength', 'allowUnsafeRegex', 'useSemicolonDelimiter'] as const

/**
 * The addresses of an app's streams, found as the app's own router finds them: by the same router with the same options. It is asked only where others listen
 * for upgrades too, and whose one is must be known before its request is routed.
 */
export class Addresses {
  readonly #app: FastifyInstance
  readonly #router: ReturnType<typeof createRouter>
  readonly #rewrite: Rewrite | undefined

  constructor (app: FastifyInstance) {
    const { initialConfig } = app
    const given = { ...initialConfig, ...('routerOptions' in initialConfig && initialConfig.routerOptions) } as Readonly<Record<string, unknown>>
    this.#app = app
    this.#router = createRouter(Object.fromEntries(options.filter(name => given[name] !== undefined).map(name => [name, given[name]])))
    this.#rewrite = rewriteOf(app)
  }

  /** @param url as a route has it, with its prefix */
  add (url: string): void {
    if (!this.#router.findRoute('GET', url)) this.#router.on('GET', url, () => {})
  }

  has (request: IncomingMessage): boolean {
    const url = this.#rewrite ? this.#rewrite.call(this.#app, request) : request.url
    return typeof url === 'string' && this.#router.find('GET', url) !== null
  }
}

/** The app's `rewriteUrl`, which Fastify keeps to itself. */
function rewriteOf (app: FastifyInstance): Rewrite | undefined {
  for (let instance: object | null = app; instance; instance = Object.getPrototypeOf(instance)) {
    const key = Object.getOwnPropertySymbols(instance).find(symbol => symbol.description === 'fastify.options')
    if (key) return (instance as Record<symbol, { rewriteUrl?: Rewrite } | undefined>)[key]?.rewriteUrl
  }
  return undefined
}

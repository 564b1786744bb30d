import { readFileSync, readdirSync } from 'node:fs'
import { posix } from 'node:path'
import t from 'tap'
import ts from 'typescript'

interface Room {
  /** Files and folders that may be imported besides the room itself. */
  readonly files?: readonly string[]
  readonly packages?: readonly string[]
  readonly builtins?: 'all' | 'none' | 'no network'
}

const rooms: Readonly<Record<string, Room>> = {
  bin: { files: ['plugin/index.ts', 'repository/sqlite.ts'], packages: ['ajv', 'close-with-grace', 'fastify'] },
  plugin: { files: ['routes', 'repository', 'stream', 'protocol'], packages: ['@fastify/websocket', '@sinclair/typebox', 'fastify', 'fastify-plugin', 'find-my-way'] },
  routes: {
    files: ['stream', 'protocol', 'repository/repository.ts', 'repository/resource.ts', 'repository/conditions.ts', 'repository/store.ts'],
    packages: ['@fastify/websocket', '@sinclair/typebox', 'fastify', 'ws']
  },
  repository: { files: ['protocol'], packages: ['@sinclair/typebox', 'ajv', 'ajv-formats'] },
  stream: { files: ['protocol'], builtins: 'no network' },
  protocol: { packages: ['@sinclair/typebox'], builtins: 'none' }
}

const network = ['node:http', 'node:http2', 'node:https', 'node:net', 'node:tls']

/** What one file alone may import. */
const drivers = ['better-sqlite3', 'node:sqlite']
const driverFile = 'repository/sqlite/driver.ts'

/** What `source` imports in any way: static, `import type`, dynamic, `export … from`, `import('…').Type`. */
function importsOf (source: string): string[] {
  return ts.preProcessFile(source, true, true).importedFiles.map(({ fileName }) => fileName)
}

/** The imports of a file that its room must not have. */
function forbidden (file: string, imports: readonly string[]): string[] {
  const name = file.split('/')[0] ?? ''
  const { files = [], packages = [], builtins = 'all' } = rooms[name] ?? { builtins: 'none' }
  return imports.filter(specifier => {
    if (drivers.includes(specifier)) return file !== driverFile
    if (specifier.startsWith('.')) {
      const target = posix.join(posix.dirname(file), specifier)
      return ![name, ...files].some(allowed => target === allowed || target.startsWith(`${allowed}/`))
    }
    if (specifier.startsWith('node:')) return builtins === 'none' || (builtins === 'no network' && network.includes(specifier))
    return !packages.includes(packageOf(specifier))
  })
}

function packageOf (specifier: string): string {
  return specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
}

const root = new URL('../', import.meta.url)
const sources = Object.keys(rooms).flatMap(room => readdirSync(new URL(room, root), { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.ts')).map(name => `${room}/${name.replaceAll('\\', '/')}`))
const read = (file: string): string => readFileSync(new URL(file, root), 'utf8')

t.test('no room imports what is behind it on the data\'s path', t => {
  for (const file of sources) t.same(forbidden(file, importsOf(read(file))), [], file)
  for (const room of Object.keys(rooms)) t.ok(sources.some(file => file.startsWith(`${room}/`)), `${room} has sources`)
  t.end()
})

t.test('every package that is imported is a dependency or a peer, and each of those is imported', t => {
  const { dependencies, peerDependencies } = JSON.parse(read('package.json')) as Record<string, Record<string, string>>
  const imported = new Set(sources.flatMap(file => importsOf(read(file))).filter(specifier => !specifier.startsWith('.') && !specifier.startsWith('node:')).map(packageOf))
  imported.delete('ws') // its types alone, those that @fastify/websocket hands out
  t.same([...imported].sort(), Object.keys({ ...dependencies, ...peerDependencies }).sort())
  for (const file of sources) t.notMatch(read(file), /^import (?!type).*from 'ws'/m, file)
  t.end()
})

t.test('every way to import is seen', t => {
  t.same(importsOf(`
    import a from 'a'
    import type { B } from './b.ts'
    export { c } from '../c.ts'
    export type * from 'd'
    import 'e'
    const f = await import('f')
    type G = import('g').G
    // import h from 'h'
  `).sort(), ['a', 'd', 'e', 'f', 'g', './b.ts', '../c.ts'].sort())
  t.end()
})

t.test('what a room must not import is found', t => {
  for (const [file, specifier, ok] of [
    ['protocol/where.ts', './change.ts', true],
    ['protocol/where.ts', '@sinclair/typebox/compiler', true],
    ['protocol/where.ts', '../stream/hub.ts', false],
    ['protocol/where.ts', 'node:util', false],
    ['protocol/where.ts', 'ajv', false],
    ['stream/hub.ts', '../protocol/log.ts', true],
    ['stream/hub.ts', '../repository/store.ts', false],
    ['stream/hub.ts', '../routes/outlets.ts', false],
    ['stream/hub.ts', 'fastify', false],
    ['stream/hub.ts', 'ws', false],
    ['stream/hub.ts', 'node:http', false],
    ['stream/hub.ts', 'node:timers/promises', true],
    ['repository/sqlite/store.ts', '../../protocol/log.ts', true],
    ['repository/sqlite/store.ts', '../../stream/hub.ts', false],
    ['repository/sqlite/store.ts', 'better-sqlite3', false],
    ['repository/sqlite/store.ts', 'node:sqlite', false],
    ['repository/sqlite/driver.ts', 'node:sqlite', true],
    ['repository/memory.ts', '../plugin/options.ts', false],
    ['routes/list.ts', '../repository/store.ts', true],
    ['routes/list.ts', '../repository/sqlite.ts', false],
    ['routes/list.ts', '../repository/sqlite/where.ts', false],
    ['routes/list.ts', '../plugin/index.ts', false],
    ['routes/list.ts', 'http', false],
    ['plugin/index.ts', '../routes/resource.ts', true],
    ['plugin/index.ts', '../bin/settings.ts', false],
    ['plugin/index.ts', '../test/helper.ts', false],
    ['bin/main.ts', '../plugin/index.ts', true],
    ['bin/main.ts', '../plugin/options.ts', false],
    ['bin/main.ts', '../repository/repository.ts', false],
    ['other/index.ts', '../protocol/index.ts', false]
  ] as const) t.same(forbidden(file, [specifier]), ok ? [] : [specifier], `${file} ${ok ? 'may' : 'must not'} import ${specifier}`)
  t.end()
})

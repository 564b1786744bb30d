import t from 'tap'
import Fastify from 'fastify'
import changeStream from '../../plugin/index.ts'
import { memory } from '../../repository/memory.ts'
import { sqlite } from '../../repository/sqlite.ts'

const never: readonly (readonly [value: unknown, told: string])[] = [
  [NaN, 'NaN'], [-1, '-1'], [1.5, '1.5'], [-Infinity, '-Infinity'], ['5', '\'5\''], [5n, '5n'], [true, 'true'], [{}, '{}'], [[1], '[ 1 ]']
]
const stores = { memory, sqlite: (options: object) => sqlite({ file: '/nowhere/at/all.db', ...options }) }

for (const [name, open] of Object.entries(stores)) {
  t.test(`${name}() refuses a bad retention where it is called, naming option and value`, async t => {
    for (const option of ['count', 'age', 'bytes']) {
      for (const [value, told] of never) t.throws(() => open({ retention: { [option]: value } as never }), { name: 'TypeError', message: `${name}: option "retention.${option}" must be a whole number from 0 on, or Infinity, got ${told}` })
      for (const value of [0, 1, 2 ** 40, Infinity, undefined]) t.doesNotThrow(() => open({ retention: { [option]: value } as never }))
    }
    for (const value of ['all', 5]) t.throws(() => open({ retention: value as never }), { name: 'TypeError', message: /option "retention" must be an object/ })
  })
}

t.test('sqlite() refuses other bad options where it is called, naming option and value', async t => {
  for (const [option, least] of [['busyTimeout', 0], ['pollInterval', 1], ['trimInterval', 1]] as const) {
    for (const [value, told] of [...never, [Infinity, 'Infinity'], [2 ** 31, '2147483648'], ...(least > 0 ? [[0, '0']] as const : [])] as const) {
      t.throws(() => stores.sqlite({ [option]: value }), { name: 'TypeError', message: `sqlite: option "${option}" must be a whole number from ${least} on up to 2147483647, got ${told}` })
    }
    for (const value of [least, 1000, undefined]) t.doesNotThrow(() => stores.sqlite({ [option]: value }))
  }
  for (const [option, words] of [['synchronous', 'full, normal'], ['driver', 'node, better-sqlite3']] as const) {
    for (const value of ['off', 1, '']) t.throws(() => stores.sqlite({ [option]: value }), { name: 'TypeError', message: new RegExp(`sqlite: option "${option}" must be one of ${words}, got `) })
  }
})

t.test('the plugin refuses bad bounds at register, naming option and value', async t => {
  for (const option of ['maxPage', 'maxRecord', 'maxBatch', 'maxLists', 'listWait', 'maxConditions', 'maxLevels', 'heartbeat', 'maxMessage', 'tailSize', 'cacheSize', 'ringSize', 'highWaterMark', 'slice', 'rest', 'backlog', 'overloadWait']) {
    for (const [value, told] of [...never, [Infinity, 'Infinity']] as const) {
      const app = Fastify()
      const error = await app.register(changeStream, { [option]: value } as never).then(() => null, (error: unknown) => error as Error)
      if (!(error instanceof TypeError && error.message.includes(`"${option}"`) && error.message.endsWith(`got ${told}`))) t.fail(`${option}: ${told}: ${String(error)}`)
      await app.close().catch(() => {})
    }
  }
  t.pass()
})

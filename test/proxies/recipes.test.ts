import t from 'tap'
import { readOptions } from '../../plugin/options.ts'
import { blocksOf, read } from '../docs/pages.ts'

const recipes = ['examples/nginx.conf', 'examples/Caddyfile']

t.test('docs/operations.md quotes the recipes that are tested, whole', async t => {
  const blocks = blocksOf('docs/operations.md').filter(({ file }) => file?.startsWith('examples/'))
  t.same(blocks.map(({ file }) => file), recipes)
  for (const { file = '', text } of blocks) t.equal(text, read(file), file)
})

t.test('nginx waits longer than a stream or a feed is silent', async t => {
  const seconds = Number(/proxy_read_timeout (\d+)s;/.exec(read('examples/nginx.conf'))?.[1])
  const longestWait = Number(/longestWait = (\d+)/.exec(read('routes/stream-request.ts'))?.[1])
  t.ok(seconds > longestWait && longestWait > 0, 'a feed that waits')
  t.ok(seconds * 1000 > 2 * readOptions({}).heartbeat, 'a stream that nothing happens on')
})

import fc from 'fast-check'
import t from 'tap'
import { clip, maxDepth, maxNames, nestingFlaw, parseJson, setOwn, show } from '../../protocol/json.ts'

const arrays = (depth: number, inside = ''): string => '['.repeat(depth) + inside + ']'.repeat(depth)
const objects = (depth: number): string => '{"a":'.repeat(depth) + '1' + '}'.repeat(depth)

t.test('JSON is read up to 100 levels, and refused beyond before it is read', async t => {
  for (const [text, deep] of [
    [arrays(100), false], [arrays(101), true], [arrays(1_000_000), true], [objects(100), false], [objects(101), true],
    [`{"a":${arrays(99)}}`, false], [`{"a":${arrays(100)}}`, true],
    [JSON.stringify(['['.repeat(500), ']'.repeat(500)]), false],
    [JSON.stringify(Array.from({ length: 500 }, () => [[]])), false],
    [JSON.stringify(['\\"[', '\\', '"', '\\\\'.repeat(200), arrays(200)]), false],
    [`["${'\\\\'.repeat(300)}",${arrays(100)}]`, true],
    [`["${'\\"'.repeat(300)}",${arrays(99)}]`, false]
  ] as const) {
    if (deep) t.throws(() => parseJson(text), { name: 'SyntaxError', message: /100 levels/ }, text.slice(0, 30))
    else t.same(parseJson(text), JSON.parse(text), text.slice(0, 30))
  }
  for (const text of ['['.repeat(5000), `"${'['.repeat(5000)}`, `${']'.repeat(300)}${arrays(150)}`, '']) t.throws(() => parseJson(text), { name: 'SyntaxError' })
})

t.test('JSON with more than 10,000 different names is refused before it is read, however they are spread', async t => {
  const named = (count: number, each: number): string => JSON.stringify(Array.from({ length: Math.ceil(count / each) }, (_, object) => {
    return Object.fromEntries(Array.from({ length: Math.min(each, count - object * each) }, (_, index) => [`k${object * each + index}`, 'a:"b":']))
  }))
  for (const each of [1, 7, 1000, 90_000]) {
    t.same(parseJson(named(maxNames, each)), JSON.parse(named(maxNames, each)), `${each} in each object`)
    t.throws(() => parseJson(named(maxNames + 1, each)), { name: 'SyntaxError', message: 'more than 10000 different names' }, `${each} in each object`)
  }
  for (const text of [JSON.stringify(Array.from({ length: 30_000 }, () => ({ a: ':', 'b"': '\\', ':': {} }))), JSON.stringify(':'.repeat(50_000)), `{${'"a" : 1,'.repeat(20_000)}"b":2}`]) t.same(parseJson(text), JSON.parse(text))
  for (const text of [':'.repeat(50_000), `{${'"a":"'.repeat(50_001)}`]) t.throws(() => parseJson(text), { name: 'SyntaxError' })
})

t.test('names count in a text that ends within a string, too', async t => {
  t.throws(() => parseJson(`[${Array.from({ length: maxNames + 1 }, (_, index) => `{"a${index}":1}`).join()},"`), { message: 'more than 10000 different names' })
})

t.test('what is read is what JSON.parse reads', async () => {
  fc.assert(fc.property(fc.json({ maxDepth: 20 }), text => {
    if (JSON.stringify(parseJson(`[${text}]${' '.repeat(300)}`)) !== JSON.stringify(JSON.parse(`[${text}]`))) throw new Error(text)
  }), { numRuns: 2000 })
})

t.test('a value that has no end, or a very late one, is told from others in bounded time', async t => {
  const loop: unknown[] = []
  loop.push({ loop })
  let shared: unknown = 'x'
  for (let level = 0; level < 60; level++) shared = [shared, shared]
  let deep: unknown = 1
  for (let level = 0; level < 100_000; level++) deep = { deep }
  t.match(nestingFlaw(loop), 'deeper than 100')
  t.match(nestingFlaw(deep), 'deeper than 100')
  t.match(nestingFlaw(shared), 'more than 1000000')
  t.equal(nestingFlaw(JSON.parse(arrays(maxDepth))), null)
  t.match(nestingFlaw(JSON.parse(arrays(maxDepth + 1))), 'deeper than 100')
  for (const value of [null, undefined, 1, 'x', 5n, [], {}, [[], {}, [1, { a: [] }]]]) t.equal(nestingFlaw(value), null)
})

t.test('what is told back to a client is bounded, whatever it has sent', async t => {
  const long = 'x'.repeat(1_000_000)
  for (const value of [long, '\u{1f600}'.repeat(1000), '"'.repeat(10_000), [[[]]], { long }, Symbol(long), BigInt('9'.repeat(5000)), () => long, Object.create(null), undefined, null, NaN, -0, true]) t.ok(show(value).length <= 210)
  t.equal(show('a"b'), '"a\\"b"')
  t.equal(show(undefined), 'undefined')
  t.equal(show(5n), '5')
  t.ok(clip('\u{1f600}'.repeat(1000)).isWellFormed())
  t.ok(clip(`x${'\u{1f600}'.repeat(1000)}`).isWellFormed())
})

t.test('a property is set on the object itself, whatever its name', async t => {
  const target = {}
  for (const name of ['a', '__proto__', 'constructor', 'toString']) setOwn(target, name, { name })
  t.equal(JSON.stringify(target), '{"a":{"name":"a"},"__proto__":{"name":"__proto__"},"constructor":{"name":"constructor"},"toString":{"name":"toString"}}')
  t.equal(Object.getPrototypeOf(target), Object.prototype)
})

import type { Random } from '../model/random.ts'

const texts = [
  '', 'a', 'b', 'A', 'ada', '0', '1', '-1', '1e3', '36', 'true', 'null', 'id', '"', '\\', '\\u0041', "'", '%', '%00', '$.a', '$ne', '__proto__', 'constructor', 'toString', ' ', '\t', '\n', '\r\n', '\u0001',
  '\u007f', '\u0085', '\u2028', '\ud7ff', '\ue000', '\ufeff', '\uffff', '\u{10000}', '\u{1f600}', 'e\u0301', 'é', 'ключ', '../..', '*', '--', "');--", 'data: x', 'now', 'start', 'x'.repeat(255), 'x'.repeat(256), 'é'.repeat(300)
]
/** What no store can keep: these must be refused. */
const unstorable = ['\0', 'a\0b', '\ud800', '\udc00a']
const numbers = [
  0, -0, 1, -1, 2, 10, 36, 0.1, 0.30000000000000004, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 53 - 1, 2 ** 53 + 2, -(2 ** 53), 1e15, 1e16, 1e-15, 1e-16, 2 ** 60, 2 ** 63, 2 ** 64, 1e19, 1e21, 1e300, 5e-324,
  2.2250738585072014e-308, 1.7976931348623157e308
]

export function text (random: Random): string {
  if (random.chance(0.02)) return random.pick(unstorable)
  if (random.chance(0.7)) return random.pick(texts)
  return Array.from({ length: random.below(8) }, () => random.pick(texts)).join('')
}

export function number (random: Random): number {
  return random.chance(0.6) ? random.pick(numbers) : random.chance(0.5) ? random.between(-3, 100) : (random.next() - 0.5) * 10 ** random.between(-20, 20)
}

export function scalar (random: Random): string | number | boolean | null {
  return random.pick<() => string | number | boolean | null>([() => text(random), () => number(random), () => random.chance(0.5), () => null])()
}

/** Any JSON value, not deep. */
export function anything (random: Random, levels = 3): unknown {
  if (levels === 0 || random.chance(0.5)) return scalar(random)
  if (random.chance(0.5)) return Array.from({ length: random.below(4) }, () => anything(random, levels - 1))
  return Object.fromEntries(Array.from({ length: random.below(4) }, () => [text(random), anything(random, levels - 1)]))
}

/** Around the limit, around what recursion bears, and far past it. */
const depths = [2, 50, 98, 99, 100, 101, 102, 128, 500, 1200, 2000, 5000, 7000, 20_000, 200_000]

const nests = [['[', ']'], ['[', ']'], ['{"a":', '}'], ['{"$or":[', ']}'], ['{"$and":[{"n":1},', ']}'], ['{"children":[', ']}'], ['[{"a":', '}]'], ['[[', ']]']] as const

/** JSON text that is deep, around `core`, of no more than `most` characters. */
export function deepText (random: Random, core = '1', most = Infinity): string {
  const [open, close] = random.pick(nests)
  const depth = Math.min(random.pick(depths), Math.floor((most - core.length) / (open.length + close.length)))
  return open.repeat(depth) + (random.chance(0.2) ? '' : core) + (random.chance(0.1) ? '' : close.repeat(depth))
}

/** JSON text of `value` in a spelling that is seldom seen: escapes, white space, members twice, odd numbers. */
export function spelled (random: Random, value: unknown): string {
  const plain = JSON.stringify(value) ?? 'null'
  if (random.chance(0.6)) return plain
  return random.pick<() => string>([
    () => JSON.stringify(value, null, random.between(1, 3)),
    () => `\r\n\t ${plain} \n`,
    () => plain.replace(/[a-z]/g, letter => random.chance(0.3) ? `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}` : letter),
    () => plain.replace(/^\{("[^"\\]*"):/, `{$1:${plain.length < 10_000 ? plain : 1},$1:`),
    () => plain.replace(/(?<=[:,[])-?\d+/, random.pick(['1e400', '-0', '1E5', '0.0', '9007199254740993', '12345678901234567890', `1${'0'.repeat(400)}`])),
    () => plain.replace(/^\{/, `{${random.pick(['"__proto__":{"x":1}', '"constructor":{"prototype":{"x":1}}', '"toString":1', '"id":1', '"":0'])},`),
    () => plain.replace(/"([^"\\]*)"(?!:)/, random.pick(['"\\ud800"', '"\\u0000"', '"\\uDC00\\uD800"', '"\ufeff"']))
  ])()
}

/** What is nearly JSON. */
export function broken (random: Random, value: unknown): string {
  const plain = JSON.stringify(value) ?? 'null'
  return random.pick<() => string>([
    () => plain.slice(0, random.below(plain.length + 1)),
    () => `${plain},`,
    () => plain.replaceAll('"', "'"),
    () => plain.replace(/([}\]])$/, ',$1'),
    () => `\ufeff${plain}`,
    () => plain.replace(/\d+/, random.pick(['NaN', 'Infinity', '-Infinity', '0x1F', '+1', '.5', '1.', '01', 'undefined'])),
    () => `${plain}${plain}`,
    () => `/* */${plain}`,
    () => plain.replace(/"([^"]*)":/, '$1:'),
    () => plain.replace(/"([^"]+)"/, '"$1\n"'),
    () => ''
  ])()
}

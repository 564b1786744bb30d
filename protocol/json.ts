/** How deep arrays and objects may be nested in what comes in: bodies, queries, messages, and values from an app's own code. */
export const maxDepth = 100

/** The most values, containers included, that one value from an app's own code may hold. */
const mostValues = 1_000_000

/** The most different names that all the objects of one text may have together: each that is new costs an engine as much as a hundred that it knows. */
export const maxNames = 10_000

const tooDeep = `nested deeper than ${maxDepth} levels`

/**
 * Reads JSON that nobody vouches for. Nothing recursive may see what has not come through here.
 * @throws {SyntaxError} for what is no JSON, nested deeper than `maxDepth`, or has more than `maxNames`
 */
export function parseJson (text: string): unknown {
  if (text.length > 2 * maxDepth) {
    const members = countMembers(text)
    if (members < 0) throw new SyntaxError(tooDeep)
    if (members > maxNames && hasManyNames(text)) throw new SyntaxError(`more than ${maxNames} different names`)
  }
  return JSON.parse(text)
}

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a

/** How many members the objects in `text` have, or -1 where it is nested too deep: looks at what stands outside of strings. */
function countMembers (text: string): number {
  let [depth, members] = [0, 0]
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === quote) {
      at = endOfString(text, at)
      if (at < 0) return members // no JSON, but what is before it would be made all the same
    } else if (unit === colon) {
      members++
    } else if ((unit | 0x20) === 0x7b) { // [ {
      if (++depth > maxDepth) return -1
    } else if ((unit | 0x20) === 0x7d) depth-- // ] }
  }
  return members
}

/** Looks at the strings before colons, as they are written: one name in two spellings counts twice. */
function hasManyNames (text: string): boolean {
  const names = new Set<string>()
  let last = ''
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === colon) {
      names.add(last)
      if (names.size > maxNames) return true
    } else if (unit === quote) {
      const end = endOfString(text, at)
      if (end < 0) return false // no JSON
      last = text.slice(at + 1, end)
      at = end
    }
  }
  return false
}

/** Where the string of JSON that starts at `start` ends, or -1. */
export function endOfString (text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes++
    if (escapes % 2 === 0) return end
  }
  return -1
}

/**
 * What forbids to walk `value` recursively, in words that go on from its name, or `null`: it is too deep, as what contains itself is, or holds
 * too much, as parts that are shared many times over do.
 */
export function nestingFlaw (value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null
  const open: { readonly items: readonly unknown[], next: number }[] = [{ items: Object.values(value), next: 0 }]
  let values = 1
  for (let top = open.at(-1); top; top = open.at(-1)) {
    const item = top.items[top.next++]
    if (top.next > top.items.length) open.pop()
    else if (++values > mostValues) return `holds more than ${mostValues} values`
    else if (typeof item === 'object' && item !== null) {
      if (open.length === maxDepth) return `is ${tooDeep}`
      open.push({ items: Object.values(item), next: 0 })
    }
  }
  return null
}

const mostShown = 100 // characters

/** `text` as far as it may be told back to who has sent it. */
export function clip (text: string): string {
  if (text.length <= mostShown) return text
  return `${text.slice(0, mostShown).replace(/[\ud800-\udbff]$/, '')}…`
}

/** What a value is, for a message: a scalar as JSON, at most some 100 characters of it. */
export function show (value: unknown): string {
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  if (typeof value === 'string') return JSON.stringify(clip(value))
  return clip(String(value))
}

/** Sets a property of `target`'s own, whatever its name is: an assignment to `__proto__` would set something else. */
export function setOwn (target: object, name: string, value: unknown): void {
  if (name in target) Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true })
  else (target as Record<string, unknown>)[name] = value
}

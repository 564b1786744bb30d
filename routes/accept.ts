interface Range { readonly type: string, readonly subtype: string, readonly quality: number }

/** How much a media type is wanted, from 0 (not at all) to 1, and how closely it was named: not, as a range, as itself. */
interface Wish { readonly quality: number, readonly named: 0 | 1 | 2 }

/**
 * Which of two kinds of answer an `Accept` asks for (RFC 9110, 12.5.1): the one of higher quality; of two alike events if they are named, by `text/event-stream`
 * or `text/*`, else JSON.
 * @param accept as it was sent; all is taken where there is none
 * @returns `null` where neither will do
 */
export function preferred (accept: string | undefined): 'events' | 'json' | null {
  const ranges = accept === undefined || accept.trim() === '' ? [{ type: '*', subtype: '*', quality: 1 }] : readRanges(accept)
  const events = wish(ranges, 'text', 'event-stream')
  const json = wish(ranges, 'application', 'json')
  if (events.quality > 0 && events.named > 0 && events.quality >= json.quality) return 'events'
  if (json.quality > 0) return 'json'
  return events.quality > 0 ? 'events' : null
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const rangeForm = new RegExp(`^(${token})/(${token})$`)
/** RFC 9110, 12.4.2. */
const qualityForm = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/

/** The ranges of the list. What is none is passed over, and so are parameters but the weight: what we send comes in one form. */
function readRanges (accept: string): Range[] {
  const ranges: Range[] = []
  for (const element of split(accept, ',')) {
    const [range = '', ...parameters] = split(element, ';').map(part => part.trim())
    const [, type, subtype] = rangeForm.exec(range.toLowerCase()) ?? []
    const weight = parameters.find(parameter => /^q\s*=/i.test(parameter))?.replace(/^q\s*=\s*/i, '') ?? '1'
    if (type !== undefined && subtype !== undefined && qualityForm.test(weight)) ranges.push({ type, subtype, quality: Number(weight) })
  }
  return ranges
}

/** The parts of a header's value between separators that are not inside quotes (RFC 9110, 5.6.4). */
function split (text: string, separator: ',' | ';'): string[] {
  if (!text.includes('"')) return text.split(separator)
  const parts = ['']
  let quoted = false
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index)
    if (character === '"') quoted = !quoted
    if (character === separator && !quoted) parts.push('')
    else parts[parts.length - 1] += quoted && character === '\\' ? character + text.charAt(++index) : character
  }
  return parts
}

/** The closest range decides; of those as close the first. */
function wish (ranges: readonly Range[], type: string, subtype: string): Wish {
  const exact = ranges.find(range => range.type === type && range.subtype === subtype)
  if (exact) return { quality: exact.quality, named: 2 }
  const family = ranges.find(range => range.type === type && range.subtype === '*')
  if (family) return { quality: family.quality, named: 1 }
  return { quality: ranges.find(range => range.type === '*' && range.subtype === '*')?.quality ?? 0, named: 0 }
}

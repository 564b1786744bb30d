/** What is wrong with how an input was taken: `what` names the fault in the same words each time, the rest is of this one. */
export class Finding extends Error {
  readonly what: string

  constructor (what: string, more = '') {
    super(more === '' ? what : `${what}: ${more}`)
    this.what = what
  }
}

/** Bytes for a person to read: what is no plain text is escaped, repetition and the middle of much are left out. */
export function shown (bytes: Buffer | string, most = 1500): string {
  const text = (typeof bytes === 'string' ? Buffer.from(bytes) : bytes).toString('latin1', 0, 100_000)
    .replace(/(.{1,12}?)\1{30,}/gs, (all, unit: string) => `⟨${all.length / unit.length} × ${unit}⟩`)
    .replace(/[^\x20-\x7e⟨⟩×]/g, character => character === '\n' ? '\\n' : character === '\r' ? '\\r' : `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
  return text.length <= most ? text : `${text.slice(0, most * 2 / 3)} ⟨…${text.length - most}⟩ ${text.slice(-most / 3)}`
}

/** Microseconds of a clock that all processes of the machine share. */
export function clock (): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e6 + Math.floor(nanoseconds / 1000)
}

/** What a record's `lastName` says: when its request was written, and its number. Both are of fixed width, so that they are cheap to read. */
export function stamp (number: number): string {
  return `t=${String(clock()).padStart(16, '0')}#${String(number).padStart(9, '0')}`
}

export const stampMark = 't='
const timeLength = 16
const numberLength = 9

export function stampedTime (bytes: Buffer, mark: number): number {
  return digits(bytes, mark + stampMark.length, timeLength)
}

export function stampedNumber (bytes: Buffer, mark: number): number {
  return digits(bytes, mark + stampMark.length + timeLength + 1, numberLength)
}

function digits (bytes: Buffer, start: number, length: number): number {
  let value = 0
  for (let at = start; at < start + length; at++) value = value * 10 + ((bytes[at] as number) - 48)
  return value
}

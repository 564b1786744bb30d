/** Takes the bytes of one WebSocket connection as they come, and counts. */
export interface FrameReader {
  readonly count: number
  take (bytes: Buffer, start: number, end: number): void
}

const control = 0x08

/**
 * Counts data frames and looks at nothing but their headers, so that the load side costs little beside a server.
 * A server's frames are not masked.
 */
export class FrameCounter implements FrameReader {
  count = 0
  /** A close frame came. */
  closed = false
  #left = 0
  #isData = false
  /** A header of which only a part has come. */
  #part: number[] = []

  take (bytes: Buffer, start: number, end: number): void {
    let at = start
    while (at < end) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, end - at)
        at += step
        this.#left -= step
        if (this.#left === 0 && this.#isData) this.count++
        continue
      }
      const first = bytes[at] as number
      const length = bytes[at + 1] as number
      if (this.#part.length === 0 && at + 4 <= end && length < 127) {
        this.#left = length < 126 ? length : (bytes[at + 2] as number) << 8 | (bytes[at + 3] as number)
        at += length < 126 ? 2 : 4
        this.#begin(first)
      } else {
        this.#part.push(first)
        at++
        const size = payloadLength(this.#part)
        if (size === null) continue
        this.#left = size
        this.#begin(this.#part[0] as number)
        this.#part = []
      }
    }
  }

  #begin (first: number): void {
    this.#isData = (first & control) === 0
    if ((first & 0x0f) === control) this.closed = true
    if (this.#left === 0 && this.#isData) this.count++
  }
}

/** Gives each data frame's payload, whole. */
export class FrameSplitter implements FrameReader {
  count = 0
  readonly #onFrame: (bytes: Buffer, start: number, end: number) => number
  #pieces: Buffer[] = []
  #length = 0
  #needed = 2

  /** @param onFrame says how much the frame counts for */
  constructor (onFrame: (bytes: Buffer, start: number, end: number) => number) {
    this.#onFrame = onFrame
  }

  take (bytes: Buffer, start: number, end: number): void {
    if (this.#length === 0) return this.#split(bytes, start, end)
    this.#keep(bytes, start, end)
    if (this.#length < this.#needed) return
    const joined = Buffer.concat(this.#pieces, this.#length)
    this.#pieces = []
    this.#length = 0
    this.#split(joined, 0, joined.length)
  }

  #split (bytes: Buffer, start: number, end: number): void {
    let at = start
    while (at < end) {
      const header = [...bytes.subarray(at, Math.min(at + 10, end))]
      const size = payloadLength(header)
      const begin = at + headerLength(header)
      if (size === null || begin + size > end) {
        this.#needed = size === null ? end - at + 1 : begin - at + size
        return this.#keep(bytes, at, end)
      }
      if (((header[0] as number) & control) === 0) this.count += this.#onFrame(bytes, begin, begin + size)
      at = begin + size
    }
  }

  #keep (bytes: Buffer, start: number, end: number): void {
    this.#pieces.push(Buffer.from(bytes.subarray(start, end))) // the buffer is used again for the next chunk
    this.#length += end - start
  }
}

function headerLength (header: readonly number[]): number {
  const length = (header[1] ?? 0) & 0x7f
  return length < 126 ? 2 : length === 126 ? 4 : 10
}

/** `null` while the header is not complete. */
function payloadLength (header: readonly number[]): number | null {
  const needed = headerLength(header)
  if (header.length < needed) return null
  if (needed === 2) return (header[1] as number) & 0x7f
  return header.slice(2, needed).reduce((length, byte) => length * 256 + byte, 0)
}

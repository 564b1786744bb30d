import { constants, deflateRawSync } from 'node:zlib'

const text = 0x81 // FIN, opcode 1
/** RSV1 set: the payload is compressed (RFC 7692, 6). */
const deflatedText = 0xc1

/**
 * A WebSocket text frame as a server sends it: whole, unmasked (RFC 6455, 5.2). The same bytes are good for every client.
 */
export function textFrame (payload: Buffer): Buffer {
  return frameOf(text, payload)
}

/**
 * The same, deflated by itself where that makes it smaller (RFC 7692, 7.2.1): good for every client that has agreed to
 * permessage-deflate with a window of full size, whatever it has got before.
 */
export function deflatedFrame (payload: Buffer): Buffer {
  const deflated = deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4) // less the empty block at its end
  return deflated.length < payload.length ? frameOf(deflatedText, deflated) : frameOf(text, payload)
}

function frameOf (first: number, payload: Buffer): Buffer {
  const length = payload.length
  const header = length < 126 ? 2 : length < 65536 ? 4 : 10
  const frame = Buffer.allocUnsafe(header + length)
  frame[0] = first
  if (header === 2) {
    frame[1] = length
  } else if (header === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeBigUInt64BE(BigInt(length), 2)
  }
  payload.copy(frame, header)
  return frame
}

/** A ping without payload. */
export const pingFrame = Buffer.from([0x89, 0x00])

/** The payloads of frames made by `textFrame`, for a transport that does its own framing. */
export function * payloadsOf (frames: Buffer): Generator<Buffer> {
  let start = 0
  while (start < frames.length) {
    const short = (frames[start + 1] ?? 0) & 0x7f
    const header = short < 126 ? 2 : short === 126 ? 4 : 10
    const length = header === 2 ? short : header === 4 ? frames.readUInt16BE(start + 2) : Number(frames.readBigUInt64BE(start + 2))
    yield frames.subarray(start + header, start + header + length)
    start += header + length
  }
}

import type { Stored } from '../../protocol/log.ts'
import type { Predicate } from '../../protocol/predicate.ts'
import { pieceSize } from '../snapshot.ts'
import type { Scan } from './scan.ts'

/** The records of the scan's next window that match, as far as they fit into a piece. */
export function nextPiece (scan: Scan, matches: Predicate | null): Stored[] {
  const piece: Stored[] = []
  let size = 0
  scan.next(stored => {
    if (matches?.(JSON.parse(stored.json)) === false) return true
    piece.push(stored)
    size += Buffer.byteLength(stored.json)
    return size < pieceSize
  })
  return piece
}

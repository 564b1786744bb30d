/** JSON in one piece of a snapshot, bytes: about so much, and at least one record. */
export const pieceSize = 65_536

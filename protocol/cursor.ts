/** "Everything up to here has been seen": a position in the log that `epoch` names. Opaque to callers (contract §1). */
export interface Cursor { readonly epoch: string, readonly position: number }

const form = /^([A-Za-z0-9_-]{1,32})\.(0|[1-9][0-9]{0,15})$/

/** The URL-safe text of a cursor. It orders nothing and promises no form. */
export function formatCursor (epoch: string, position: number): string {
  return `${epoch}.${position}`
}

/** The cursor that `formatCursor` wrote, or `null` for any other text. */
export function parseCursor (text: string): Cursor | null {
  const match = form.exec(text)
  const position = Number(match?.[2])
  return match?.[1] && Number.isSafeInteger(position) ? { epoch: match[1], position } : null
}

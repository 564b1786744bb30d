/** What can be refused: the title a person reads, the HTTP status, and the WebSocket close code where a stream ends with it (contract §2, §3.5). */
export const problems = {
  'invalid-body': { title: 'The body is not valid', status: 400 },
  'invalid-query': { title: 'A query parameter is not valid', status: 400 },
  'invalid-header': { title: 'A header is not valid', status: 400 },
  'invalid-where': { title: 'The where is not valid', status: 400 },
  'invalid-cursor': { title: 'The cursor is not valid', status: 400 },
  'invalid-message': { title: 'The message is not valid', status: 400, close: 4400 },
  'upgrade-refused': { title: 'Nothing to upgrade to here', status: 400 },
  unauthenticated: { title: 'Not authenticated', status: 401, close: 4401 },
  forbidden: { title: 'Forbidden', status: 403, close: 4403 },
  'not-found': { title: 'No such record', status: 404 },
  'not-acceptable': { title: 'Nothing acceptable to send', status: 406 },
  conflict: { title: 'The record conflicts with another', status: 409 },
  gone: { title: 'The log no longer reaches back to the cursor', status: 410, close: 4410 },
  'precondition-failed': { title: 'The record has moved on', status: 412 },
  'too-large': { title: 'Too large', status: 413, close: 1009 },
  'unsupported-media-type': { title: 'The media type is not supported', status: 415 },
  'too-many': { title: 'Too many', status: 429, close: 4429 },
  internal: { title: 'The server failed', status: 500, close: 1011 },
  overloaded: { title: 'More is written than can be streamed', status: 503 },
  unavailable: { title: 'The store is not available', status: 503, close: 1011 }
} as const satisfies Record<string, { title: string, status: number, close?: number }>

export type ProblemCode = keyof typeof problems

/** One thing wrong with a body: `path` is a JSON Pointer (RFC 6901) into it, `''` the whole. */
export interface BodyError { readonly path: string, readonly message: string }

/** The media type of a refusal's body. */
export const problemType = 'application/problem+json; charset=utf-8'

/** The body of a refusal, as `problemType` has it (RFC 9457). */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly errors?: readonly BodyError[]
}

/** Every error this package gives to a caller: a row of `problems`, what happened this time, and its cause where there is one. */
export class ChangeStreamError extends Error {
  override readonly name = 'ChangeStreamError'
  readonly code: ProblemCode
  readonly errors: readonly BodyError[] | undefined
  /** Milliseconds after which another try makes sense. */
  readonly retryAfter: number | undefined

  constructor (code: ProblemCode, detail: string, more: { errors?: readonly BodyError[], cause?: unknown, retryAfter?: number } = {}) {
    super(detail, 'cause' in more ? { cause: more.cause } : undefined)
    this.code = code
    this.errors = more.errors
    this.retryAfter = more.retryAfter
  }

  get statusCode (): number {
    return problems[this.code].status
  }

  /** The WebSocket close code that this error ends a stream with; 1011 where the table names none. */
  get closeCode (): number {
    const row = problems[this.code]
    return 'close' in row ? row.close : 1011
  }

  /** The problem body. A 5xx says its title alone: its cause is for the log. */
  toProblem (): Problem {
    const { title, status } = problems[this.code]
    const detail = status >= 500 ? title : this.message
    return { type: `urn:problem:change-stream:${this.code}`, title, status, detail, ...(this.errors && { errors: this.errors }) }
  }
}

const closeReasonBytes = 123 // RFC 6455, 5.5: a control frame holds 125 bytes, two are the code

/** `text` cut, at a character, to what a close frame can hold. */
export function closeReason (text: string): string {
  if (Buffer.byteLength(text) <= closeReasonBytes) return text
  let bytes = 0
  let end = 0
  for (const character of text) {
    bytes += Buffer.byteLength(character)
    if (bytes > closeReasonBytes - 3) break
    end += character.length
  }
  return `${text.slice(0, end)}…`
}

/** What both ends of the stream share: words, messages, cursors, errors. */
export type { Change, Delete, Identified, Save } from './change.ts'
export { type Cursor, formatCursor, parseCursor } from './cursor.ts'
export { type BodyError, type Problem, type ProblemCode, problems } from './errors.ts'
export { type Kinds, kinds } from './filter.ts'
export { ChangeMessage, ClientMessage, FeedPage, FilterState, ServerMessage, jsonSchemas, serverMessages, subprotocol } from './messages.ts'
export { type WhereLimits, whereLimits } from './properties.ts'
export type { Where } from './where.ts'

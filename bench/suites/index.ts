import type { Suite } from '../runner/suite.ts'
import { fanout } from './fanout.ts'
import { filters } from './filters.ts'
import { posts } from './posts.ts'
import { reconnect } from './reconnect.ts'
import { slowReaders } from './slow-readers.ts'
import { stream } from './stream.ts'

export type SuiteName = 'posts' | 'fanout' | 'filters' | 'slow-readers' | 'reconnect' | 'stream'

/** All suites, in the order in which they are run and told. */
export const suites: Readonly<Record<SuiteName, Suite<unknown>>> = { posts, fanout, filters, 'slow-readers': slowReaders, reconnect, stream }

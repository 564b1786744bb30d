import type { Suite } from '../runner/suite.ts'
import { fanout } from './fanout.ts'
import { filters } from './filters.ts'
import { hostile } from './hostile.ts'
import { posts } from './posts.ts'
import { reconnect } from './reconnect.ts'
import { slowReaders, slowReadersLong } from './slow-readers.ts'
import { stream } from './stream.ts'
import { versions } from './versions.ts'

export type SuiteName = 'posts' | 'fanout' | 'filters' | 'slow-readers' | 'slow-readers-long' | 'reconnect' | 'stream' | 'hostile' | 'versions'

/** All suites, in the order in which they are run and told. */
export const suites: Readonly<Record<SuiteName, Suite<unknown>>> = { posts, fanout, filters, 'slow-readers': slowReaders, 'slow-readers-long': slowReadersLong, reconnect, stream, hostile, versions }

/** Those that are run unless others are asked for: the rest take minutes for one server, or need another version. */
export const usual = (Object.keys(suites) as SuiteName[]).filter(name => !name.endsWith('-long') && name !== 'hostile' && name !== 'versions')

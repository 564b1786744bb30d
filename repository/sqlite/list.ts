import { setImmediate as turn } from 'node:timers/promises'
import type { Json } from '../../protocol/change.ts'
import { ChangeStreamError } from '../../protocol/errors.ts'
import type { Stored } from '../../protocol/log.ts'
import { pageOf } from '../list.ts'
import type { ListQuery, Listing } from '../store.ts'
import type { Database } from './database.ts'
import { Scan, type ScanOptions } from './scan.ts'
import { afterSql, orderSql } from './where.ts'

const tries = 3

/**
 * One page of a list, of one position. A long search gives way to other work between its windows.
 * @param head reads the newest position
 */
export async function list (database: Database, query: ListQuery, head: () => number): Promise<Listing> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await search(database, query, head())
    } catch (error) {
      if (!(error instanceof ChangeStreamError && error.code === 'gone')) throw error
      if (attempt === tries) throw new ChangeStreamError('unavailable', 'the log is trimmed faster than the list can be read', { cause: error, retryAfter: 1000 })
    }
  }
}

async function search (database: Database, query: ListQuery, position: number): Promise<Listing> {
  const { where, sort, limit, after } = query
  const byId: Partial<ScanOptions> = { ...(after && { after: after.id }), ...(where === null && { window: limit + 1 }) }
  const sorted: Partial<ScanOptions> = { beyond: afterSql(sort, after), order: orderSql(sort), limit: limit + 1 }
  const scan = new Scan(database, { position, where, ...(sort.length === 0 ? byId : sorted) })
  let page: { records: Stored[], more: boolean } = { records: [], more: false }
  try {
    for (;;) {
      const { records, more } = pageOf([...page.records, ...scan.next() ?? []], stored => JSON.parse(stored.json) as Json, query)
      page = { records, more: more || page.more }
      if (scan.done || (sort.length === 0 && page.more)) break
      await turn()
    }
    return { ...page, position }
  } finally {
    scan.close()
  }
}

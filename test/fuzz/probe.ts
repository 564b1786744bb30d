/**
 * Loaded before the server under test: over IPC it tells what memory is left after a collection, and lets the server end as
 * if it were not there.
 */
async function memory (): Promise<number> {
  for (let turns = 0; turns < 3; turns++) {
    globalThis.gc?.()
    await new Promise(resolve => setTimeout(resolve, 5)) // finalizers and timers of Node's own
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

process.on('message', async (id: number) => { process.send?.({ id, memory: await memory() }) })
process.channel?.unref()

export {}

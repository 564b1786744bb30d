import { playAll, ways } from './run.ts'

/** Plays histories of every way but those over real sockets, and fails with the seed of the one that shows a fault. */
for (const { store, way } of ways) if (way === 'injected') await playAll(Number(process.argv[2]), Number(process.argv[3]), store, way)

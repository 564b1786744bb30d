import type { ChildProcess } from 'node:child_process'
import type { Methods } from '../load/main.ts'
import { type Role, start } from './pinning.ts'

interface Answer { readonly id: number, readonly result?: unknown, readonly error?: string }
interface Waiting { resolve (result: unknown): void, reject (error: Error): void }

/** A load process, told what to do over IPC. */
export class Load {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #id = 0

  constructor (role: Role) {
    this.#process = start(role, [process.execPath, '--import', 'tsx', 'load/main.ts'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#process.on('message', ({ id, result, error }: Answer) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(result)
      else waiting?.reject(new Error(error))
    })
    this.#process.on('exit', code => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`a load process ended with ${code}`))
    })
  }

  call<M extends keyof Methods> (method: M, ...[parameters]: Parameters<Methods[M]>): Promise<Awaited<ReturnType<Methods[M]>>> {
    const id = ++this.#id
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as Waiting['resolve'], reject })
      this.#process.send({ id, method, parameters })
    })
  }

  stop (): void {
    this.#process.kill()
  }
}

import { clock, stamp } from './clock.ts'
import { HttpConnection, request } from './http.ts'
import { type Percentiles, Samples } from './samples.ts'

export interface Work {
  readonly port: number
  readonly connections: number
  readonly seconds: number
  /** Requests a second; without it each connection sends as soon as it has its answer. */
  readonly rate?: number
  /** This many requests, whatever time they take. */
  readonly total?: number
}

export interface Records {
  /** `job` goes round so many values: `j0`, `j1` … */
  readonly jobs?: number
  /** Bytes to add to a record. */
  readonly padding?: number
  /** Records in a request, sent as an array. */
  readonly batch?: number
}

export interface Answered {
  /** The records' numbers: `from` to `to - 1`. */
  readonly from: number
  readonly to: number
  readonly requests: number
  readonly startedAt: number
  readonly seconds: number
  /** Request to answer; under a rate from the time that the request was due. */
  readonly latency: Percentiles
  readonly cpuShare: number
}

let recordNumber = 0

/** Creates records. */
export async function post (work: Work & Records): Promise<Answered> {
  const from = recordNumber
  const padding = 'x'.repeat(work.padding ?? 0)
  const record = (): string => {
    const number = recordNumber++
    return `{"firstName":"Ada","lastName":"${stamp(number)}","age":${number % 100},"job":"${work.jobs ? `j${number % work.jobs}` : 'mathematician'}${padding}"}`
  }
  const body = (): string => work.batch ? `[${Array.from({ length: work.batch }, record).join()}]` : record()
  const answered = await run(work, () => request('POST', '/people', body()), 201)
  return { ...answered, from, to: recordNumber }
}

/** Creates one record and asks for it again and again. */
export async function get (work: Work): Promise<Answered> {
  const { path, from } = await create(work.port)
  const text = request('GET', path)
  return { ...await run(work, () => text, 200), from, to: recordNumber }
}

/** Tells the server that writes flat out to begin. */
export async function pour ({ port }: { port: number }): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const connection = new HttpConnection(port, reject)
    connection.send(request('GET', '/'), () => {
      connection.close()
      resolve()
    })
  })
}

async function create (port: number): Promise<{ path: string, from: number }> {
  const from = recordNumber
  const body = `{"firstName":"Ada","lastName":"${stamp(recordNumber++)}","age":36,"job":"mathematician"}`
  return await new Promise((resolve, reject) => {
    const connection = new HttpConnection(port, reject)
    connection.send(request('POST', '/people', body), (_, answer) => {
      connection.close()
      resolve({ path: `/people/${(JSON.parse(answer) as { id: string }).id}`, from })
    })
  })
}

async function run ({ port, connections, seconds, rate, total = Infinity }: Work, next: () => string, wanted: number): Promise<Omit<Answered, 'from' | 'to'>> {
  const latency = new Samples()
  const startedAt = clock()
  const cpu = process.cpuUsage()
  const end = total === Infinity ? startedAt + seconds * 1e6 : Infinity
  let sent = 0
  let answered = 0
  const open: HttpConnection[] = []
  let timer: NodeJS.Timeout | undefined
  await new Promise<void>((resolve, reject) => {
    const idle: HttpConnection[] = []
    const isOver = (): boolean => sent >= total || (rate === undefined ? clock() >= end : sent >= rate * seconds)
    const send = (connection: HttpConnection): void => {
      if (isOver()) return sent === answered ? resolve() : undefined
      const due = rate === undefined ? clock() : startedAt + sent / rate * 1e6
      if (rate !== undefined && due > clock()) {
        idle.push(connection)
        return
      }
      sent++
      connection.send(next(), (status, body) => {
        latency.add(clock() - due)
        answered++
        if (status !== wanted) reject(new Error(`${status} instead of ${wanted}: ${body}`))
        else send(connection)
      })
    }
    for (let index = 0; index < connections; index++) open.push(new HttpConnection(port, reject))
    for (const connection of open) send(connection)
    if (rate !== undefined) timer = setInterval(() => idle.splice(0).forEach(send), 1)
  }).finally(() => {
    clearInterval(timer)
    for (const connection of open) connection.close()
  })
  const took = clock() - startedAt
  const { user, system } = process.cpuUsage(cpu)
  return { requests: answered, startedAt, seconds: took / 1e6, latency: latency.percentiles(), cpuShare: (user + system) / took }
}

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A process's cost so far. */
export interface Usage {
  /** Processor time, microseconds. */
  readonly cpu: number
  /** Resident memory, bytes. */
  readonly memory: number
}

const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Node runs on
const pageSize = process.platform === 'linux' ? Number(execFileSync('getconf', ['PAGESIZE'], { encoding: 'utf8' })) : 0

export function usageOf (pid: number): Usage {
  return process.platform === 'linux' ? fromProc(pid) : fromPs(pid)
}

function fromProc (pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[11]) + Number(fields[12])
  return { cpu: ticks / ticksPerSecond * 1e6, memory: Number(fields[21]) * pageSize }
}

function fromPs (pid: number): Usage {
  const [time = '', kibibytes = ''] = execFileSync('ps', ['-o', 'time=,rss=', '-p', String(pid)], { encoding: 'utf8' }).trim().split(/\s+/)
  const seconds = time.split(/[:-]/).reduce((sum, part) => sum * 60 + Number(part), 0)
  return { cpu: seconds * 1e6, memory: Number(kibibytes) * 1024 }
}

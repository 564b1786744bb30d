import { setOwn } from '../protocol/json.ts'

type Target = Record<string, unknown>

/** Applies a JSON Merge Patch (RFC 7396, §2) and leaves both its arguments as they are. */
export function mergePatch (target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const result: Target = isObject(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else setOwn(result, key, mergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value))
  }
  return result
}

function isObject (value: unknown): value is Target {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

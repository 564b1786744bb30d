type Target = Record<string, unknown>

/** Applies a JSON Merge Patch (RFC 7396, §2) and leaves both its arguments as they are. */
export function mergePatch (target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const result: Target = isObject(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else define(result, key, mergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value))
  }
  return result
}

/** Sets a property of its own even where the key is `__proto__`. */
function define (target: Target, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true })
}

function isObject (value: unknown): value is Target {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

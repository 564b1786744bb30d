import type { Scalar } from './properties.ts'
import { compareScalars } from './compare.ts'

const few = 64

/** The least and the greatest of an array's numbers, of its strings, and of its booleans. */
interface Extremes { least: Scalar, greatest: Scalar }

/**
 * What conditions ask of a long array, found out once: a record of 1 MB may hold 500,000 elements, of which a hundred
 * conditions of each subscriber want to know.
 */
export class Elements {
  /** Each scalar once. */
  readonly scalars = new Set<Scalar>()
  readonly #extremes = new Map<string, Extremes>()

  constructor (array: readonly unknown[]) {
    for (const element of array) {
      if (typeof element === 'object' && element !== null) continue
      const scalar = element as Scalar
      const before = this.scalars.size
      this.scalars.add(scalar)
      if (scalar !== null && this.scalars.size > before) this.#extend(scalar)
    }
  }

  /** The extremes of the elements that have the type of `scalar`. */
  extremes (scalar: Scalar): Extremes | undefined {
    return this.#extremes.get(typeof scalar)
  }

  #extend (scalar: Scalar): void {
    const known = this.#extremes.get(typeof scalar)
    if (!known) this.#extremes.set(typeof scalar, { least: scalar, greatest: scalar })
    else if (compareScalars(scalar, known.least) < 0) known.least = scalar
    else if (compareScalars(scalar, known.greatest) > 0) known.greatest = scalar
  }
}

const known = new WeakMap<readonly unknown[], Elements>()

/** The elements of a long array, or `null` where it is as cheap to look at each. The array is never changed. */
export function elementsOf (array: readonly unknown[]): Elements | null {
  if (array.length <= few) return null
  let elements = known.get(array)
  if (!elements) known.set(array, elements = new Elements(array))
  return elements
}

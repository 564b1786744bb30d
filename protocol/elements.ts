import { compareScalars } from './compare.ts'
import type { Scalar } from './properties.ts'

const few = 1024 // elements, each of which may as well be looked at for each condition
const fewAsks = 8

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

interface Asked { times: number, elements?: WeakRef<Elements> }

const arrays = new WeakMap<readonly unknown[], Asked>()

/**
 * The elements of a long array that is asked again and again; `null` where it is as cheap to look at each. They are kept for as long as
 * memory is not needed. The array is never changed.
 */
export function elementsOf (array: readonly unknown[]): Elements | null {
  if (array.length <= few) return null
  const asked = arrays.get(array)
  if (!asked) arrays.set(array, { times: 1 })
  if (!asked || ++asked.times <= fewAsks) return null
  const known = asked.elements?.deref()
  if (known) return known
  const elements = new Elements(array)
  asked.elements = new WeakRef(elements)
  return elements
}

/** The scalars of an array, of a long one each once. */
export function scalarsOf (array: readonly unknown[]): Iterable<Scalar> {
  return array.length <= few ? array as readonly Scalar[] : elementsOf(array)?.scalars ?? new Set(array as readonly Scalar[])
}

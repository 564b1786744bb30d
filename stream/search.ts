/** The index of the first item behind `position`, in items ordered by position. */
export function indexAfter (items: readonly { readonly position: number }[], position: number): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((items[middle]?.position ?? 0) > position) high = middle
    else low = middle + 1
  }
  return low
}

/** The middle of several rounds, and how far apart they were. */
export interface Spread { readonly median: number, readonly min: number, readonly max: number }

export function spread (values: readonly number[]): Spread {
  const sorted = [...values].sort((one, other) => one - other)
  const middle = sorted.length / 2
  const median = ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2
  return { median, min: sorted[0] ?? NaN, max: sorted.at(-1) ?? NaN }
}

/** Three significant digits or whole numbers, with thousands set apart. */
export function figure (value: number): string {
  if (!Number.isFinite(value)) return '–'
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toLocaleString('en', { minimumFractionDigits: Math.min(digits, 2), maximumFractionDigits: Math.min(digits, 2) })
}

/** `median (min–max)`, or the value alone where there was one round. */
export function spreadText (values: readonly number[]): string {
  const { median, min, max } = spread(values)
  return values.length < 2 ? figure(median) : `${figure(median)} (${figure(min)}–${figure(max)})`
}

export interface Interval { readonly low: number, readonly high: number }

const resamples = 10_000

/** 95 % interval of the median, by the percentile bootstrap (Efron, 1979). */
export function intervalOf (values: readonly number[]): Interval {
  const medians = Array.from({ length: resamples }, () => spread(values.map(() => values[Math.floor(Math.random() * values.length)] as number)).median).sort((one, other) => one - other)
  return { low: medians[Math.floor(resamples * 0.025)] ?? NaN, high: medians[Math.ceil(resamples * 0.975) - 1] ?? NaN }
}

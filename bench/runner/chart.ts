interface Point { readonly x: number, readonly y: number }

export interface Chart {
  readonly title: string
  readonly x: string
  readonly y: string
  readonly series: readonly { readonly name: string, readonly points: readonly Point[] }[]
}

const width = 760
const height = 440
const plot = { left: 80, right: 560, top: 50, bottom: 380 }
const colours = ['#0b6e99', '#b5473c', '#4b7f3a', '#8a5fb0', '#b8860b', '#5b6770']

/** Lines on two logarithmic axes. */
export function chart ({ title, x, y, series }: Chart): string {
  const points = series.flatMap(each => each.points).filter(point => point.y > 0)
  const across = scale(points.map(point => point.x), plot.left, plot.right)
  const up = scale(points.map(point => point.y), plot.bottom, plot.top)
  const xs = [...new Set(points.map(point => point.x))]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13" role="img" aria-label="${escape(title)}">
<rect width="${width}" height="${height}" fill="#fff"/>
<text x="${plot.left}" y="28" font-size="16" fill="#222">${escape(title)}</text>
${ticks(points.map(point => point.y)).map(value => `<path d="M${plot.left} ${up(value)}H${plot.right}" stroke="#ddd"/><text x="${plot.left - 8}" y="${up(value) + 4}" text-anchor="end" fill="#444">${value.toLocaleString('en')}</text>`).join('\n')}
${xs.map(value => `<text x="${across(value)}" y="${plot.bottom + 20}" text-anchor="middle" fill="#444">${value.toLocaleString('en')}</text>`).join('\n')}
<text x="${(plot.left + plot.right) / 2}" y="${plot.bottom + 45}" text-anchor="middle" fill="#444">${escape(x)}</text>
<text transform="translate(16 ${(plot.top + plot.bottom) / 2}) rotate(-90)" text-anchor="middle" fill="#444">${escape(y)}</text>
${series.map((each, index) => line(each, colours[index % colours.length] as string, across, up)).join('\n')}
${legend(series, up)}
</svg>
`
}

function line ({ points }: Chart['series'][number], colour: string, across: (value: number) => number, up: (value: number) => number): string {
  const seen = points.filter(point => point.y > 0)
  const path = seen.map(point => `${across(point.x)},${up(point.y)}`).join(' ')
  const dots = seen.map(point => `<circle cx="${across(point.x)}" cy="${up(point.y)}" r="3.5" fill="${colour}"/>`).join('')
  return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots}`
}

/** The names beside the ends of their lines, moved apart where they would meet. */
function legend (series: Chart['series'], up: (value: number) => number): string {
  let free = plot.top
  return series.map(({ name, points }, index) => ({ name, index, y: up(points.at(-1)?.y || 1) }))
    .sort((one, other) => one.y - other.y)
    .map(({ name, index, y }) => {
      const at = Math.max(y, free)
      free = at + 18
      return `<text x="${plot.right + 14}" y="${at + 4}" fill="${colours[index % colours.length]}">${escape(name)}</text>`
    }).join('\n')
}

/** 1, 2 and 5 times each power of ten that `values` reach over. */
function ticks (values: readonly number[]): number[] {
  const [low, high] = ends(values)
  const all: number[] = []
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) all.push(...[1, 2, 5].map(step => step * 10 ** power))
  return all.filter(value => value >= low * 0.999 && value <= high * 1.001)
}

function scale (values: readonly number[], from: number, to: number): (value: number) => number {
  const [low, high] = ends(values)
  const span = Math.log(high) - Math.log(low) || 1
  return value => Math.round(from + (to - from) * (Math.log(value) - Math.log(low)) / span)
}

function ends (values: readonly number[]): [number, number] {
  return [Math.min(...values), Math.max(...values)]
}

function escape (text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

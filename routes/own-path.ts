/**
 * The path of a request's URL in origin-form (RFC 9112, 3.2.1), without the query: what `Link` and `Location` may start with. Whoever asks in absolute-form,
 * or with a path that begins like an authority (RFC 3986, 4.2: `//host`; the URL Standard reads `/\host` as the same), names no other host by it.
 */
export function ownPath (url: string): string {
  const path = url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#\\]*/i, '').split(/[?#]/, 1)[0] ?? ''
  return path.replaceAll('\\', '%5C').replace(/^\/*/, '/')
}

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { ChangeStreamError } from '../protocol/errors.ts'

/** Whether a request has come with an `Upgrade` that the server took up: it has the connection for itself then. */
export function isUpgrade (raw: IncomingMessage): boolean {
  return 'upgrade' in raw && raw.upgrade === true
}

/**
 * What a WebSocket's handshake needs (RFC 6455, 4.2.1), so that it is refused by a problem where it lacks that.
 * @throws {ChangeStreamError} `invalid-header`
 */
export function assertHandshake (headers: IncomingHttpHeaders): void {
  const wanted = [
    { name: 'Upgrade', form: /^websocket$/i, what: 'websocket' },
    { name: 'Sec-WebSocket-Key', form: /^[+/0-9a-z]{22}==$/i, what: '16 bytes in base64' },
    { name: 'Sec-WebSocket-Version', form: /^(13|8)$/, what: '13' }
  ]
  for (const { name, form, what } of wanted) {
    if (!form.test(String(headers[name.toLowerCase()] ?? ''))) throw new ChangeStreamError('invalid-header', `${name} must be ${what}`)
  }
}

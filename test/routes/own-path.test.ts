import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import changeStream from '../../plugin/index.ts'
import { ownPath } from '../../routes/own-path.ts'
import { ada, listen } from '../helper.ts'

t.test('a path of one\'s own names no host', t => {
  for (const [url, path] of [
    ['/people', '/people'], ['/people?limit=1', '/people'], ['/people#x', '/people'], ['/', '/'], ['', '/'], ['?a', '/'], ['/a//b', '/a//b'], ['/a%2F%2Fb', '/a%2F%2Fb'],
    ['//people', '/people'], ['///people', '/people'], ['//evil.example/people', '/evil.example/people'], ['/\\evil.example/people', '/%5Cevil.example/people'],
    ['\\\\evil.example', '/%5C%5Cevil.example'], ['//\\/evil.example', '/%5C/evil.example'],
    ['http://evil.example/people?limit=1', '/people'], ['HTTPS://evil.example:1/people', '/people'], ['http://evil.example', '/'], ['http://evil.example?x', '/'],
    ['http://evil.example//other.example/people', '/other.example/people'], ['http://a\\b/people', '/%5Cb/people'], ['http:///people', '/people'], ['people', '/people']
  ] as const) {
    t.equal(ownPath(url), path, url)
    t.equal(new URL(ownPath(url), 'http://own.example').host, 'own.example')
  }
  t.end()
})

t.test('Link and Location name no other host, whatever the request-target', async t => {
  const app = Fastify({ routerOptions: { ignoreDuplicateSlashes: true } })
  t.teardown(() => app.close())
  await app.register(changeStream)
  await app.register(async scope => { await scope.register(changeStream, { resource: { name: 'tenants', schema: (await import('../../plugin/index.ts')).Person } }) }, { prefix: '/:tenant' })
  await app.ready()
  await app.changeStreams.people.createAll([ada, ada, ada])
  await listen(app)
  const { port } = app.server.address() as AddressInfo
  const body = JSON.stringify(ada)
  for (const target of ['/people', '//people', '///people', 'http://evil.example/people', 'http://evil.example//people', '/\\evil.example/tenants', '/%5Cevil.example/tenants']) {
    for (const [method, query, content] of [['POST', '', body], ['POST', '', body], ['GET', '?limit=1', '']] as const) {
      const socket = connect(port, '127.0.0.1')
      socket.write(`${method} ${target}${query} HTTP/1.1\r\nHost: own.example\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${content.length}\r\n\r\n${content}`)
      let answer = ''
      socket.setEncoding('utf8').on('data', chunk => { answer += chunk })
      await once(socket, 'close')
      const address = /^(?:location: (.*)|link: <(.*?)>.*)$/im.exec(answer.replaceAll('\r', ''))
      const path = address?.[1] ?? address?.[2] ?? ''
      t.match(path, /^\/[^/\\]/, `${method} ${target}`)
      t.equal(new URL(path, 'http://own.example').host, 'own.example')
    }
  }
})

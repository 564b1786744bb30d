import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'

/** REST on bare node:http, without any check of what comes; `onSaved` is told of each person. */
export function restServer (onSaved) {
  const people = new Map()
  const answer = (response, status, person) => {
    const body = JSON.stringify(person)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), location: `/people/${person.id}` })
    response.end(body)
  }
  return createServer((request, response) => {
    if (request.method === 'GET') return answer(response, 200, people.get(request.url.slice('/people/'.length)))
    let text = ''
    request.setEncoding('utf8').on('data', piece => { text += piece }).on('end', () => {
      const person = { id: randomUUID(), ...JSON.parse(text) }
      people.set(person.id, person)
      onSaved(person)
      answer(response, 201, person)
    })
  })
}

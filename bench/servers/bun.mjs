/* global Bun */
// Bun's own server and its publish, on uWebSockets; no check of what comes.
const people = new Map()
const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  idleTimeout: 72,
  async fetch (request, self) {
    if (request.method === 'POST') {
      const person = { id: crypto.randomUUID(), ...await request.json() }
      people.set(person.id, person)
      self.publish('people', `Saved person [${person.id}] ${JSON.stringify(person)}`)
      return Response.json(person, { status: 201, headers: { location: `/people/${person.id}` } })
    }
    if (self.upgrade(request)) return
    return Response.json(people.get(new URL(request.url).pathname.slice('/people/'.length)))
  },
  websocket: { idleTimeout: 0, open (socket) { socket.subscribe('people') }, message () {} }
})
console.log(server.port)

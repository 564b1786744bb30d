import t from 'tap'
import { Type } from '@sinclair/typebox'
import { type Answer, type Person, ada, build, listen, request, stores } from '../helper.ts'

interface Problem { detail: string, title: string }

/** Follows `Link` to the last page. */
async function pages (url: string): Promise<Person[][]> {
  const found: Person[][] = []
  let next: string | undefined = url
  while (next !== undefined) {
    const { status, headers, body }: Answer<Person[]> = await request<Person[]>(next)
    if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`)
    found.push(body)
    const link: string | undefined = /^<([^>]+)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1]
    next = link && new URL(link, url).href
  }
  return found
}

const query = (parameters: Record<string, unknown>): string =>
  `?${new URLSearchParams(Object.entries(parameters).map(([name, value]): [string, string] => [name, typeof value === 'string' ? value : JSON.stringify(value)]))}`

const team = [
  { firstName: 'Ada', lastName: 'Lovelace', age: 36, job: 'math' },
  { firstName: 'Grace', lastName: 'Hopper', age: 79, job: 'navy' },
  { firstName: 'Alan', lastName: 'Turing', age: 41, job: 'math' },
  { firstName: 'Edsger', lastName: 'Dijkstra', age: 72, job: 'cs' },
  { firstName: 'Barbara', lastName: 'Liskov', age: 79, job: 'cs' },
  { firstName: 'Donald', lastName: 'Knuth', age: 79, job: 'cs' }
]

for (const [name, store] of Object.entries(stores)) {
  t.test(`lists over ${name}`, async t => {
    const url = `${await listen(await build(t, { repository: store(t) }))}/people`
    await request(url, 'POST', team)
    const names = async (parameters: Record<string, unknown>): Promise<string> =>
      (await pages(url + query(parameters))).map(page => page.map(person => person.firstName).join()).join('|')

    t.test('without a query all come in the order of their ids', async t => {
      const { headers, body } = await request<Person[]>(url)
      t.equal(body.length, team.length)
      t.same(body.map(person => person.id), body.map(person => person.id).sort())
      t.equal(headers.get('link'), null)
      t.match(headers.get('change-cursor'), /^[\w.-]+$/)
    })

    t.test('limit makes pages that Link joins', async t => {
      t.equal(await names({ limit: '4' }), 'Ada,Grace,Alan,Edsger|Barbara,Donald')
      t.equal(await names({ limit: '3' }), 'Ada,Grace,Alan|Edsger,Barbara,Donald')
      t.equal(await names({ limit: '1000' }), 'Ada,Grace,Alan,Edsger,Barbara,Donald')
    })

    t.test('sort orders by several properties, ties by id', async t => {
      t.equal(await names({ sort: 'age' }), 'Ada,Alan,Edsger,Grace,Barbara,Donald')
      t.equal(await names({ sort: '-age,lastName' }), 'Grace,Donald,Barbara,Edsger,Alan,Ada')
      t.equal(await names({ sort: 'job,-firstName', limit: '2' }), 'Edsger,Donald|Barbara,Alan|Ada,Grace')
      t.equal(await names({ sort: '-age', limit: '1' }), 'Grace|Barbara|Donald|Edsger|Alan|Ada')
    })

    t.test('where picks', async t => {
      t.equal(await names({ where: { job: 'cs' } }), 'Edsger,Barbara,Donald')
      t.equal(await names({ where: { age: { $gt: 41, $lt: 79 } } }), 'Edsger')
      t.equal(await names({ where: { age: { $gte: 41, $lte: 72 } }, sort: '-age' }), 'Edsger,Alan')
      t.equal(await names({ where: { job: { $ne: 'cs' } } }), 'Ada,Grace,Alan')
      t.equal(await names({ where: { job: { $in: ['navy', 'math'] } }, limit: '2' }), 'Ada,Grace|Alan')
      t.equal(await names({ where: { job: { $nin: ['navy', 'math'] } } }), 'Edsger,Barbara,Donald')
      t.equal(await names({ where: { $or: [{ age: 36 }, { lastName: { $lt: 'I' } }] } }), 'Ada,Grace,Edsger')
      t.equal(await names({ where: { $and: [{ age: 79 }, { $or: [{ job: 'navy' }, { firstName: 'Donald' }] }] } }), 'Grace,Donald')
      t.equal(await names({ where: {} }), 'Ada,Grace,Alan,Edsger,Barbara,Donald')
      t.equal(await names({ where: { age: 5 } }), '')
    })

    t.test('fields leaves out what is not asked for, and never the id', async t => {
      const { body } = await request<Person[]>(url + query({ fields: 'age,job', limit: '1' }))
      t.same(Object.keys(body[0] ?? {}), ['id', 'age', 'job'])
      t.same(Object.keys((await request<Person[]>(url + query({ fields: 'id' }))).body[0] ?? {}), ['id'])
    })

    t.test('a bad query is refused, naming what is wrong', async t => {
      for (const [bad, named] of [
        ['?limit=0', 'limit'], ['?limit=1001', 'limit'], ['?limit=x', 'limit'], ['?limit=1.5', 'limit'],
        ['?limit=1&limit=2', '"limit" twice'], ['?page=2', '"page"'], ['?since=now', '"since"'],
        ['?sort=height', 'height'], ['?sort=age,-age', 'age'], ['?sort=', 'sort'], ['?fields=height', 'height'], ['?fields=', 'fields'],
        ['?after=nonsense', 'after'], ['?where=age', 'where'],
        [query({ where: { height: 1 } }), 'height'], [query({ where: { age: 'x' } }), 'age'], [query({ where: { age: { $regex: 1 } } }), '$regex'],
        [query({ where: { $where: 'x' } }), '$where'], [query({ where: { age: null } }), 'age'], [query({ where: [] }), 'where']
      ] as const) {
        const { status, headers, body } = await request<Problem>(url + bad)
        t.equal(status, 400, bad)
        t.match(headers.get('content-type'), 'application/problem+json')
        t.match(body.detail, named)
      }
      const { headers } = await request(url + query({ limit: '1', sort: 'age' }))
      const next = /<([^>]+)>/.exec(headers.get('link') ?? '')?.[1] ?? ''
      t.equal((await request(new URL(next.replace('sort=age', 'sort=-age'), url).href)).status, 400, 'a page of another order')
    })
  })

  t.test(`a list over ${name} sorts absent, null, numbers, booleans, strings`, async t => {
    const schema = Type.Object({ n: Type.Integer(), v: Type.Optional(Type.Union([Type.Null(), Type.Number(), Type.Boolean(), Type.String()])), deep: Type.Optional(Type.Object({ s: Type.String() })) })
    const url = `${await listen(await build(t, { repository: store(t), resource: { name: 'things', schema } }))}/things`
    const values = ['b', 2, null, true, '\u{1f600}', '\uffee', -0.5, undefined, false, 'B', 1e300]
    await request(url, 'POST', values.map((v, n) => ({ n, ...(v !== undefined && { v }), ...(n % 2 === 0 && { deep: { s: `${n}` } }) })))
    const order = async (sort: string, limit = '100'): Promise<number[]> => (await pages(url + query({ sort, limit }))).flat().map(thing => (thing as typeof thing & { n: number }).n)
    for (const limit of ['100', '1', '4']) {
      t.same(await order('v', limit), [2, 7, 6, 8, 3, 1, 10, 9, 0, 5, 4])
      t.same(await order('-v', limit), [4, 5, 0, 9, 10, 1, 3, 8, 6, 2, 7])
      t.same(await order('deep.s,-n', limit), [9, 7, 5, 3, 1, 0, 10, 2, 4, 6, 8])
    }
  })

  t.test(`pages over ${name} and the changes since the first make a whole view`, async t => {
    const app = await build(t, { repository: store(t) })
    const origin = await listen(app)
    const people = app.changeStreams.people
    const ids = (await people.createAll(Array.from({ length: 30 }, (_, age) => ({ ...ada, age })))).map(saved => saved.id)
    const view = new Map<string, Person>()
    let next: string | undefined = `${origin}/people?limit=7&sort=-age`
    let since = ''
    for (let round = 0; next !== undefined; round++) {
      const { headers, body }: Answer<Person[]> = await request<Person[]>(next)
      since ||= headers.get('change-cursor') ?? ''
      for (const person of body) view.set(person.id, person)
      const link: string | undefined = /<([^>]+)>/.exec(headers.get('link') ?? '')?.[1]
      next = link && new URL(link, origin).href
      await people.patch(ids[round] ?? '', { age: 1000 - round })
      await people.delete(ids[29 - round] ?? '')
      await people.create({ ...ada, job: `new ${round}` })
    }
    const { body } = await request<{ changes: { op: string, id: string, record: Person }[] }>(`${origin}/updates?since=${since}`)
    for (const { op, id, record } of body.changes) op === 'save' ? view.set(id, record) : view.delete(id)
    const now = (await request<Person[]>(`${origin}/people?limit=1000`)).body
    t.same([...view.values()].sort((a, b) => a.id < b.id ? -1 : 1), now)
  })
}

import { Ajv2019 } from 'ajv/dist/2019.js'
import formats from 'ajv-formats'
import t from 'tap'
import { Person } from '../../plugin/options.ts'
import { problems } from '../../protocol/errors.ts'
import { jsonSchemas, serverMessages, whereLimits } from '../../protocol/index.ts'
import { Properties } from '../../protocol/properties.ts'
import { parseWhere } from '../../protocol/where.ts'
import { Dialogue } from './dialogue.ts'
import { blocksOf, pages, read, rowsOf } from './pages.ts'

const page = 'PROTOCOL.md'
const dialogues = blocksOf(page).filter(({ language }) => language === 'dialogue')
const linesBy = (start: string): string[] => dialogues.flatMap(({ text }) => text.split('\n')).filter(line => line.startsWith(start)).map(line => line.slice(start.length))
const code = (cell = ''): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)

const ajv = new Ajv2019({ strictTypes: false })
formats.default(ajv)

for (const [index, { text }] of dialogues.entries()) {
  t.test(`dialogue ${index + 1} of ${page} is what a server says`, async t => {
    const dialogue = new Dialogue(t, text)
    for (const line of text.trimEnd().split('\n')) await dialogue.play(line)
  })
}

t.test('every message in it fits its published schema, and every kind of message is there', async t => {
  const fits = Object.fromEntries(Object.entries(jsonSchemas).map(([name, schema]) => [name, ajv.compile(schema)]))
  const sent = linesBy('< ').map(line => line.replace(/^data: /, '')).filter(line => line.startsWith('{')).map(line => JSON.parse(line) as { type?: string, op?: string })
  for (const message of sent) t.ok(fits[message.type ? 'ServerMessage' : message.op ? 'Change' : 'FeedPage']?.(message), JSON.stringify(message))
  t.same(new Set(sent.flatMap(({ type }) => type ?? [])), new Set(Object.keys(serverMessages)))
  const received = linesBy('> ').filter(line => line.startsWith('{')).map(line => JSON.parse(line) as { type: string })
  t.same(new Set(received.map(({ type }) => type)), new Set(['filter', 'stop', 'sing']))
  received.push(...pages.flatMap(blocksOf).filter(({ language, file }) => language === 'json' && file === undefined).map(({ text }) => JSON.parse(text) as { type: string }))
  for (const message of received) t.equal(fits['ClientMessage']?.(message), message.type !== 'sing', JSON.stringify(message))
})

t.test('its tables tell all messages and their fields', async t => {
  const [server = [], client = []] = rowsOf(page, '`type`')
  for (const row of server) {
    const [type = ''] = code(row['`type`'])
    const schema = Object.entries(serverMessages).find(([name]) => name === type)?.[1]
    t.same(['type', ...code(row['fields'])], Object.keys(schema?.properties ?? {}), type)
  }
  t.same(server.map(row => code(row['`type`'])[0]), Object.keys(serverMessages))
  t.same(client.map(row => code(row['`type`'])[0]), ['filter', 'stop'])
})

t.test('its table of close codes has those of the errors', async t => {
  const [table = []] = rowsOf(page, 'come back?')
  const told = new Set(table.map(row => Number(row['code'])))
  for (const [name, problem] of Object.entries(problems)) {
    if (!('close' in problem)) continue
    if (name === 'unauthenticated' || name === 'forbidden') t.match(read(page), `${problem.close}`)
    else t.ok(told.has(problem.close), `${name} ${problem.close}`)
  }
})

t.test('its where is one, and its limits are the limits', async t => {
  const properties = new Properties(JSON.parse(JSON.stringify(Person)))
  const wheres = blocksOf(page).filter(({ file }) => file === 'where')
  t.equal(wheres.length, 1)
  for (const { text } of wheres) t.ok(parseWhere(JSON.parse(text), properties))
  t.match(read(page), `${whereLimits.conditions} conditions`)
  t.match(read(page), `${whereLimits.levels} levels`)
})

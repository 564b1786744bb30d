import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { readOptions } from '../../plugin/options.ts'
import { ada, build, listen } from '../helper.ts'
import { blocksOf, pages, read, rowsOf } from './pages.ts'

const root = resolve(import.meta.dirname, '../..')
const unindented = (text: string): string => text.replace(/^ +/gm, '')

t.test('every TypeScript snippet is lines of the example that it names', async t => {
  const snippets = pages.flatMap(blocksOf).filter(({ language }) => language === 'ts')
  t.ok(snippets.length >= 4)
  for (const { page, file, text } of snippets) {
    t.ok(file !== undefined && unindented(read(file)).includes(unindented(text)), `${page}: ${file}`)
  }
  const [first] = blocksOf('README.md').filter(({ language }) => language === 'ts')
  t.equal(first?.text, read('examples/server.ts'), 'the server is all of it')
})

t.test('every link leads to a file', async t => {
  for (const page of pages) {
    for (const [, target = ''] of read(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)/g)) {
      t.ok(existsSync(join(root, dirname(page), target)), `${page}: ${target}`)
    }
  }
})

t.test('every curl command runs and is answered as it says', async t => {
  const app = await build(t)
  const origin = await listen(app)
  await app.changeStreams.people.create(ada)
  const commands = pages.flatMap(blocksOf).filter(({ language }) => language === 'sh').flatMap(({ text }) => text.split('\n')).filter(line => line.startsWith('curl'))
  t.ok(commands.length >= 6)
  for (const command of commands) {
    const run = command.replace(/https?:\/\/localhost:3000/, origin).replace('curl', "curl -s -w '\\n%{http_code}'")
    const { stdout } = await promisify(execFile)('sh', ['-c', run]).catch((error: { stdout: string }) => error) // --max-time ends with a status of its own
    const expected = / # (\d{3})$/.exec(command)?.[1]
    t.match(stdout, expected ? new RegExp(`\n${expected}$`) : /\n20[01]$/, command)
  }
})

t.test('the tables of options tell all options, with their defaults', async t => {
  const [plugin = [], inMemory = [], inSqlite = []] = rowsOf('README.md', 'option')
  const nameOf = (row: Record<string, string>): string => (row['option'] ?? '').replaceAll('`', '')
  const { resource, repository, ...plain } = readOptions({})
  const settings = /const Settings = Type\.Object\(\{([\s\S]*?)^\}/m.exec(read('plugin/options.ts'))?.[1] ?? ''
  const names = [...settings.matchAll(/^ {2}(\w+):/gm)].map(([, name = '']) => name)
  t.ok(names.length > 8)
  t.same(plugin.map(nameOf), ['resource', 'repository', ...names])
  for (const row of plugin) {
    const value = Object.entries(plain).find(([name]) => name === nameOf(row))?.[1]
    if (nameOf(row) === 'path') t.equal(value, `/${resource.name}`)
    else if (value !== undefined) t.equal(row['default']?.replaceAll('`', ''), String(value), nameOf(row))
    if (typeof value === 'number') t.ok(row['unit'], `${nameOf(row)} has a unit`)
  }
  t.equal(typeof repository, 'function')

  for (const [rows, file, type, constant] of [[inMemory, 'repository/memory.ts', 'MemoryOptions', 'defaultRetention'], [inSqlite, 'repository/sqlite.ts', 'SqliteOptions', 'defaults']] as const) {
    const source = read(file)
    const options = [...(new RegExp(`interface ${type} \\{([\\s\\S]*?)^\\}`, 'm').exec(source)?.[1] ?? '').matchAll(/readonly (\w+)\??:/g)].map(([, name = '']) => name)
    t.same([...new Set(rows.map(row => nameOf(row).split('.')[0] ?? ''))], options, type)
    const defaults = new RegExp(`const ${constant}\\b[^=]*= (\\{[\\s\\S]*?\\})(?: as const)?\n\n`).exec(source)?.[1] ?? ''
    for (const row of rows) {
      const leaf = nameOf(row).split('.').at(-1)
      const value = new RegExp(`\\b${leaf}: '?([\\w]+)'?`).exec(defaults)?.[1]?.replaceAll('_', '')
      if (value !== undefined) t.equal(row['default']?.replaceAll('`', ''), value, `${type} ${nameOf(row)}`)
      else t.ok(['file', 'driver'].includes(leaf ?? ''), `${leaf} has no default`)
    }
  }
})

t.test('the log lines that operators are told of are those that the code writes', async t => {
  const source = ['plugin/index.ts', 'plugin/upgrade.ts', 'routes/updates.ts', 'protocol/errors.ts'].map(read).join('\n')
  const [table = []] = rowsOf('docs/operations.md', 'line')
  const lines = table.flatMap(row => /`(.*)`/.exec(row['line'] ?? '')?.[1] ?? [])
  t.equal(lines.length, 7)
  for (const line of lines) t.ok(source.includes(line.replace('people', '${resource.name}')), line) // eslint-disable-line no-template-curly-in-string
})

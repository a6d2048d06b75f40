/** What the documents tell people to type exists, and what they point to is there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import { test } from 'node:test';
import { filesBelow, ROOT, readSource, SOURCE_FILES } from '../house/source-tree.ts';

const DOCUMENTS = SOURCE_FILES.filter((path) => path.endsWith('.md'));
const { scripts } = JSON.parse(readSource('package.json')) as { scripts: Record<string, string> };

/** The command line in a clone: npx would build the clone again before it starts anything. */
const CLI = 'dist/lib/cli/main.js';

const withoutBlocks = (text: string) => text.replace(/^```[\s\S]*?^```/gm, '');

/** Lines of console and sh blocks that are typed, and inline code; without comments and prompts. */
function commandsIn(document: string): string[] {
  const blocks = [...document.matchAll(/^```(console|sh)\n([\s\S]*?)^```/gm)];
  const typed = blocks.flatMap(([, kind, text]) =>
    text!.split('\n').filter((line) => kind === 'sh' || line.startsWith('$ ')),
  );
  const inline = [...withoutBlocks(document).matchAll(/`([^`\n]+)`/g)].map(([, code]) => code!);
  return [...typed, ...inline]
    .flatMap((line) =>
      line
        .replace(/^\$ /, '')
        .replace(/\s#.*$/, '')
        .split('&&'),
    )
    .map((command) => command.trim())
    .filter((command) => /^(npm|npx|node|sh|keyless-tls) \S/.test(command));
}

const helpTexts = new Map<string, string>();

function helpOf(command: string): string {
  const known = helpTexts.get(command);
  if (known !== undefined) return known;
  const text = execFileSync(process.execPath, [`${ROOT}dist/lib/cli/main.js`, command, '--help'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  helpTexts.set(command, text);
  return text;
}

function problemOfCli([command = '', ...values]: readonly string[]): string | undefined {
  if (command.startsWith('--')) return ['--help', '--version'].includes(command) ? undefined : command;
  const help = helpOf(command);
  const options = values.filter((value) => value.startsWith('--') && value !== '--help');
  return options.find((option) => !new RegExp(`^ +${option}\\b`, 'm').test(help));
}

function problemOfNpm([name = '', script = '']: readonly string[]): string | undefined {
  if (['install', 'ci', 'pack'].includes(name)) return undefined;
  const wanted = name === 'run' ? script : name;
  return wanted in scripts ? undefined : `no script ${wanted}`;
}

/** A program of the repository is there, or its source. */
function problemOfFile([path = '']: readonly string[]): string | undefined {
  if (path.startsWith('-')) return undefined;
  const source = path.replace(/^dist\/(.*)\.js$/, '$1.ts');
  return existsSync(ROOT + source) ? undefined : `no file ${source}`;
}

/** @returns what does not exist of a command; `undefined`: all does */
function problemOf(command: string): string | undefined {
  const [program, ...values] = command.split(/\s+/);
  if (program === 'npm') return problemOfNpm(values);
  if (program === 'keyless-tls') return problemOfCli(values);
  if (program === 'node' && values[0] === CLI) return problemOfCli(values.slice(1));
  if (program === 'npx') return values[0] === 'keyless-tls' ? problemOfCli(values.slice(1)) : undefined;
  return problemOfFile(values);
}

/** As GitHub makes them of headings. */
function anchorsOf(document: string): string[] {
  const headings = [...withoutBlocks(document).matchAll(/^#+ (.+)$/gm)];
  return headings.map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

const isThere = (path: string) => existsSync(ROOT + path) && (path === '' || !path.startsWith('..'));

/** @returns the links of a document that lead nowhere; links to the web are not followed */
function brokenLinks(path: string, document: string): string[] {
  const links = [...withoutBlocks(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!);
  return links.filter((link) => {
    if (/^https?:/.test(link)) return false;
    const [file = '', anchor] = link.split('#');
    const target = file === '' ? path : posix.join(posix.dirname(path), file);
    if (!isThere(target)) return true;
    if (anchor === undefined) return false;
    return !anchorsOf(file === '' ? document : readSource(target)).includes(anchor);
  });
}

for (const path of DOCUMENTS) {
  test(`${path}: its commands exist and its links lead somewhere`, () => {
    const document = readSource(path);
    const problems = commandsIn(document).map((command) => [command, problemOf(command)]);
    assert.deepEqual(
      problems.filter(([, problem]) => problem !== undefined),
      [],
    );
    assert.deepEqual(brokenLinks(path, document), []);
  });
}

test('README shows the two commands that come first, and links every document', () => {
  const readme = readSource('README.md');
  const commands = commandsIn(readme);
  for (const command of ['npm install', 'npm start', 'npm test'])
    assert.ok(commands.includes(command), command);
  const linked = DOCUMENTS.filter((path) => path !== 'README.md' && !path.startsWith('docs/decisions/'));
  const missing = linked.filter((path) => !readme.includes(`](${path})`));
  assert.deepEqual(
    missing.filter((path) => filesBelow('docs/', /\.md$/).includes(path) || !path.includes('/')),
    [],
  );
});

test('these checks find what they look for', () => {
  const commands = commandsIn(
    '```console\n$ npm run nothing && npx keyless-tls serve --nothing X\nnpm no\n```\n',
  );
  assert.deepEqual(commands, ['npm run nothing', 'npx keyless-tls serve --nothing X']);
  assert.deepEqual(commands.map(problemOf), ['no script nothing', '--nothing']);
  assert.equal(problemOf(`node ${CLI} serve --nothing`), '--nothing');
  assert.equal(problemOf('node dist/examples/nothing.js'), 'no file examples/nothing.ts');
  assert.throws(() => problemOf('keyless-tls nothing'));
  const text = '# Here\n[a](README.md) [b](#here) [c](nowhere.md) [d](#there) [e](docs/errors.md#nothing)';
  assert.deepEqual(brokenLinks('README.md', text), ['nowhere.md', '#there', 'docs/errors.md#nothing']);
});

/** docs/errors.md, lib/errors.ts and what lib/ and native/ mention are the same list of codes. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ERROR_CODES } from '../../../lib/errors.ts';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const DOCUMENT = readFileSync(`${root}docs/errors.md`, 'utf8');
const EXISTING = Object.keys(ERROR_CODES).sort();

/** The text under each heading that is a code. */
function sections(document: string): ReadonlyMap<string, string> {
  const parts = document.split(/^#{2,3} /m).slice(1);
  const titled = parts.map((part) => [part.slice(0, part.indexOf('\n')), part] as const);
  return new Map(titled.filter(([title]) => title.startsWith('ERR_')));
}

/** Codes a document explains, each with what happened, why, and what to do. */
function explained(document: string): string[] {
  for (const [code, text] of sections(document)) {
    const points = [...text.matchAll(/^- (\w+): \S/gm)].map(([, name]) => name);
    assert.deepEqual(points, ['What', 'Why', 'Do'], code);
  }
  return [...sections(document).keys()].sort();
}

function mentioned(text: string): string[] {
  return [...text.matchAll(/\bERR_KEYLESS_[A-Z_]+\b/g)].map(([code]) => code);
}

function sources(): string[] {
  const files = readdirSync(`${root}lib`, { recursive: true, encoding: 'utf8' });
  return files
    .filter((path) => path.endsWith('.ts') && path !== 'errors.ts')
    .map((path) => readFileSync(`${root}lib/${path}`, 'utf8'));
}

/** Codes in quotes: comments have them without. */
function raised(text: string): string[] {
  return [...text.matchAll(/'(ERR_KEYLESS_[A-Z_]+)'/g)].map(([, code]) => code!);
}

test('every code is explained, and every code that is explained exists', () => {
  assert.deepEqual(explained(DOCUMENT), EXISTING);
});

test('every code is raised somewhere, and no other is mentioned', () => {
  assert.deepEqual([...new Set(sources().flatMap(raised))].sort(), EXISTING);
  for (const code of [...sources(), DOCUMENT].flatMap(mentioned)) assert.ok(EXISTING.includes(code), code);
});

test('the comparison notices a section too many, one too few, and one without advice', () => {
  const [first, text] = [...sections(DOCUMENT)][0]!;
  assert.notDeepEqual(explained(DOCUMENT.replace(`### ${first}`, `### ${first}_ALSO`)), EXISTING);
  assert.notDeepEqual(explained(DOCUMENT.replace(`### ${text}`, '')), EXISTING);
  assert.throws(() => explained(DOCUMENT.replace('\n- Do:', '\n- Perhaps:')), { name: 'AssertionError' });
});

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { authoritiesOf } from '../../../lib/engine/authorities.ts';
import { makeAuthority } from '../../helpers/certificates.ts';

let a: string;
let b: string;

before(async () => {
  [a, b] = (await Promise.all([makeAuthority('A'), makeAuthority('B')])).map(({ certPem }) => certPem) as [
    string,
    string,
  ];
});

test('the same certificates are the same, in whatever form', () => {
  const forms = [
    a + b,
    [a, b],
    [b, a],
    [Buffer.from(a), b.replaceAll('\n', '\r\n')],
    `# one\n${a}\n# Grüße\n${b.trimEnd()}`,
    Buffer.from(`# Grüße\n${b}${a}${a}`),
    new DataView(new TextEncoder().encode(a + b).buffer),
  ];
  const [first, ...others] = forms.map(authoritiesOf);
  assert.equal((first as string[]).length, 2);
  for (const each of others) assert.deepEqual(each, first);
});

test('what OpenSSL reads in part, or not at all, is nothing else', () => {
  const damaged = a.replace(/\n[^-\n]+\n/, '\nAAAA\n');
  const all = [
    undefined,
    [],
    a,
    b,
    a + b,
    damaged,
    damaged + b,
    [b, damaged],
    a + b.replace('-----BEGIN', ' -----BEGIN'),
    a + b.replace('-----BEGIN', '# b\r-----BEGIN'),
    a + b.replace(/END CERTIFICATE-----/, 'END CERTIFICATE----- '),
    a + b.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE'),
    a + b.slice(0, -10),
  ];
  const seen = all.map((each) => JSON.stringify(authoritiesOf(each)));
  assert.equal(new Set(seen).size, all.length, seen.join('\n'));
  for (const nothing of [null, '', false]) assert.equal(authoritiesOf(nothing), authoritiesOf(undefined));
});

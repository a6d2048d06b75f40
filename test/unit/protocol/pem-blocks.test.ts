/** Which blocks of a PEM file are used: those that OpenSSL uses, or none of the file. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pemBlocks } from '../../../lib/protocol/pem-blocks.ts';

const blockOf = (label: string, content: string) =>
  `-----BEGIN ${label}-----\n${content}\n-----END ${label}-----\n`;
const ONE = blockOf('CERTIFICATE', 'AQID');
const TWO = blockOf('CERTIFICATE', 'BAUG');
const indented = (text: string) => text.replace(/^(?=.)/gm, '  ');

function contents(text: string): string[] {
  return pemBlocks(text, ['CERTIFICATE'], 'It').map(({ der }) => der.toString('hex'));
}

const WHOLE: Readonly<Record<string, string>> = {
  'one after the other': ONE + TWO,
  'lines of Windows': (ONE + TWO).replaceAll('\n', '\r\n'),
  'spaces behind the lines': (ONE + TWO).replaceAll('\n', ' \t\n'),
  'a byte order mark': `\uFEFF${ONE}${TWO}`,
  'text and other blocks between': `# one-ONE\n${ONE}\n  subject: -CN\n${blockOf('X509 CRL', 'AQID')}${TWO}`,
  'a comment without an end of line': `${ONE}${TWO}# from cert-manager-PROD`,
  'no end of line': (ONE + TWO).trimEnd(),
};

for (const [what, text] of Object.entries(WHOLE)) {
  test(`used: ${what}`, () => assert.deepEqual(contents(text), ['010203', '040506']));
}

const BROKEN: Readonly<Record<string, string>> = {
  'an indented block, as out of YAML': ONE + indented(TWO),
  'all of it indented': indented(ONE + TWO),
  'a block behind other text': `${ONE}${TWO.replace('-----BEGIN', 'x -----BEGIN')}`,
  'text behind its first line': ONE + TWO.replace('CERTIFICATE-----\n', 'CERTIFICATE----- x\n'),
  'text behind its last line': ONE + TWO.replace(/-----\n$/, '----- x\n'),
  'an indented last line': ONE + TWO.replace('-----END', ' -----END'),
  'all on one line': ONE + TWO.replaceAll('\n', ''),
  'no content in base64': ONE + blockOf('CERTIFICATE', 'B*UG'),
};

for (const [what, text] of Object.entries(BROKEN)) {
  test(`refused: ${what}`, () => assert.throws(() => contents(text), /not whole/));
}

test('refused: cut short anywhere', () => {
  const whole = ONE + TWO;
  for (let length = ONE.length + 1; length < whole.length - 1; length += 1)
    assert.throws(() => contents(whole.slice(0, length)), /not whole/, `${length} characters`);
});

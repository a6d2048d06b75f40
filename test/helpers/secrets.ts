/** Looks for private keys where none may be. */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';

const WINDOW = 24;

/** What a key looks like in text: pieces of its PEM's lines, and the number itself in hexadecimal and base64url. */
export function formsOf(keyPem: string): string[] {
  const lines = keyPem.split('\n').filter((line) => !line.startsWith('-----'));
  // The head of a PKCS#8 file tells what kind of key it is, and is the same for all; the number comes after.
  const pieces = lines.slice(lines.length > 3 ? 1 : 0).map((line) => line.slice(-WINDOW));
  const { d = '' } = createPrivateKey(keyPem).export({ format: 'jwk' });
  const number = Buffer.from(d, 'base64url');
  return [...pieces, d, number.toString('hex'), number.toString('base64')].filter(
    ({ length }) => length >= WINDOW,
  );
}

/** Fails if a text holds a private key, or a piece of one. */
export function assertNothingSecret(text: string, keyPems: readonly string[]): void {
  assert.doesNotMatch(text, /PRIVATE KEY/);
  for (const keyPem of keyPems) {
    const forms = formsOf(keyPem);
    assert.ok(forms.length > 2);
    for (const form of forms) assert.ok(!text.includes(form), 'it holds a piece of a private key');
  }
}

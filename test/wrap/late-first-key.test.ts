/** An app under isolate whose first key comes when its first connection is there. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';

const PROGRAM = fileURLToPath(new URL('../helpers/late-first-key.js', import.meta.url));
const ISOLATE = new URL('../../lib/wrap/isolate.js', import.meta.url);

let issued: Issued;
before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'rsa' });
});

async function story(execArgv: string[], ...words: string[]): Promise<unknown[]> {
  const child = fork(PROGRAM, words, { execArgv });
  const messages: unknown[] = [];
  child.on('message', (message) => messages.push(message));
  child.send({ certPem: issued.certPem, keyPem: issued.keyPem });
  // Its messages have come by then, which they need not have at 'exit'.
  const [code] = await once(child, 'close');
  return [...messages, code];
}

// Without a certificate, OpenSSL shares no cipher of TLS 1.2 before it asks for the protocol.
for (const [how, version] of [
  ['SNICallback', 'TLSv1.2'],
  ['SNICallback', 'TLSv1.3'],
  ['ALPNCallback', 'TLSv1.3'],
] as const) {
  test(`in an ${how}, ${version}`, async () => {
    const native = await story([], how, version);
    assert.equal(native.at(-1), 0);
    assert.match(JSON.stringify(native), /hello/);
    assert.deepEqual(await story(['--import', ISOLATE.href], how, version), native);
  });
}

/** A server whose certificate has no key fails in its handshakes, natively without a word of why: our faces have one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import native from 'node:tls';
import * as http2 from '../../../lib/http2.ts';
import * as https from '../../../lib/https.ts';
import { localKey } from '../../../lib/index.ts';
import * as tls from '../../../lib/tls.ts';
import { makeAuthority } from '../../helpers/certificates.ts';

const { certPem: cert, keyPem } = await (await makeAuthority()).issue({ type: 'p256' });

/** @returns the codes of the warnings that `work` gave */
async function warningsOf(work: () => void): Promise<(string | undefined)[]> {
  const codes: (string | undefined)[] = [];
  const onWarning = (warning: Error & { code?: string }) => codes.push(warning.code);
  process.on('warning', onWarning);
  work();
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', onWarning);
  return codes;
}

const server = tls.createServer();
const SERVERS: Readonly<Record<string, (options: tls.SecureContextOptions) => unknown>> = {
  'tls.createServer': (options) => tls.createServer(options),
  'https.createServer': (options) => https.createServer(options),
  'http2.createSecureServer': (options) => http2.createSecureServer(options),
  setSecureContext: (options) => server.setSecureContext(options as native.SecureContextOptions),
};

for (const [what, make] of Object.entries(SERVERS)) {
  test(`${what} warns of a certificate without a key, and of nothing else`, async () => {
    assert.deepEqual(await warningsOf(() => make({ cert })), ['KEYLESS_TLS_NO_KEY']);
    for (const options of [{ cert, key: localKey(keyPem) }, { cert, key: keyPem }, { ciphers: 'PSK' }, {}])
      assert.deepEqual(await warningsOf(() => make(options)), []);
  });
}

test('options that tell when they are read are read once, by Node', async () => {
  let reads = 0;
  const options = {
    get cert() {
      reads += 1;
      return cert;
    },
  };
  assert.deepEqual(await warningsOf(() => tls.createServer(options)), []);
  const byNode = reads;
  reads = 0;
  native.createServer(options);
  assert.equal(byNode, reads);
});

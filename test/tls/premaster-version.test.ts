/** Which version a premaster begins with (RFC 5246 §7.4.7.1), and SSL_OP_TLS_ROLLBACK_BUG, which allows another one. */
import assert from 'node:assert/strict';
import { constants, publicEncrypt, randomBytes, X509Certificate } from 'node:crypto';
import { before, test } from 'node:test';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { ANSWER_MODES, parity, type Side, sideNamed } from '../helpers/parity.ts';
import { isTaken } from '../helpers/premaster-client.ts';

/** A client of a newer version, as those that know only older ones see it. */
const OFFERED = 0x0304;
const NEGOTIATED = 0x0303;
const OLDER = 0x0302;

let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'rsa' });
});

async function taken(side: Side, secureOptions: number): Promise<boolean[]> {
  const server = side.tls.createServer({
    ...{ cert: issued.certPem, key: side.key(issued), ciphers: 'AES128-GCM-SHA256', secureOptions },
  });
  server.on('tlsClientError', () => undefined);
  server.on('secureConnection', (socket) => socket.on('error', () => undefined));
  const port = await listen(server);
  const { publicKey } = new X509Certificate(issued.certPem);
  const outcomes: boolean[] = [];
  for (const version of [OFFERED, NEGOTIATED, OLDER]) {
    const premaster = randomBytes(48);
    premaster.writeUInt16BE(version);
    const padding = constants.RSA_PKCS1_PADDING;
    outcomes.push(
      await isTaken(port, OFFERED, premaster, publicEncrypt({ key: publicKey, padding }, premaster)),
    );
  }
  await close(server);
  return outcomes;
}

parity('a premaster begins with the version that its client has offered', (side) => taken(side, 0), 3);

const ROLLBACK = constants.SSL_OP_TLS_ROLLBACK_BUG;

for (const mode of ANSWER_MODES) {
  test(`under SSL_OP_TLS_ROLLBACK_BUG it may begin with what was negotiated, as natively (${mode})`, async () => {
    const native = await taken(await sideNamed('native'), ROLLBACK);
    assert.deepEqual(native, [true, true, false]);
    assert.deepEqual(await taken(await sideNamed(mode), ROLLBACK), native);
  });
}

test('a key server, which knows only what the client has offered, allows no other version even then', async () => {
  assert.deepEqual(await taken(await sideNamed('key server'), ROLLBACK), [true, false, false]);
});

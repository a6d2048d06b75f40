/** A client that does not wait for the server's Finished, and sends more than is read ahead of a handshake that waits (RFC 7918). */
import { constants, publicEncrypt, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { stat } from 'node:fs';
import { before } from 'node:test';
import tls from 'node:tls';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';
import { parity, type Side } from '../helpers/parity.ts';
import { clientHello, ending, helloRecord, isWaiting } from '../helpers/premaster-client.ts';

const RECORD_BYTES = 16_384;
/** Of 80 KiB; 64 are read ahead. */
const RECORDS = 5;

let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'rsa' });
});

/** All of what is sent ahead is there before the key is asked. */
async function heard(side: Side): Promise<number> {
  const [here, there] = duplexPair();
  const secureContext = side.tls.createSecureContext({
    ...{ cert: issued.certPem, key: side.key(issued), ciphers: 'AES128-GCM-SHA256' },
  });
  const server = new tls.TLSSocket(here, { isServer: true, secureContext });
  let bytes = 0;
  server.on('data', (data: Buffer) => {
    bytes += data.length;
  });
  const secure = once(server, 'secure');
  let said = Buffer.alloc(0);
  const hello = clientHello();
  there.on('data', (data: Buffer) => {
    said = Buffer.concat([said, data]);
  });
  there.write(helloRecord(hello));
  while (!isWaiting(said)) await once(there, 'data');
  const premaster = randomBytes(48);
  premaster.writeUInt16BE(0x0303);
  const key = { key: new X509Certificate(issued.certPem).publicKey, padding: constants.RSA_PKCS1_PADDING };
  const { flight, seal } = ending(hello, said, premaster, publicEncrypt(key, premaster));
  const ahead = Array.from({ length: RECORDS }, () => seal(Buffer.alloc(RECORD_BYTES)));
  // As what comes from the network comes.
  await new Promise<void>((resolve) => {
    stat('/', () => {
      there.write(Buffer.concat([flight, ...ahead]));
      resolve();
    });
  });
  await secure;
  for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
  there.write(seal(Buffer.alloc(1)));
  while (bytes <= RECORDS * RECORD_BYTES) await once(server, 'data');
  for (const each of [server, here, there]) each.destroy();
  return bytes;
}

parity('what a client sends ahead of the end of its handshake, and after it, is read', heard, 1);

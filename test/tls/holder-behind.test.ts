/** The holder of a key is asked over a connection that has a keyless key itself: what waits for it must not be waited for. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import tls, { type SecureVersion } from 'node:tls';
import {
  configureEngine,
  connect,
  createServer,
  engineStats,
  localKey,
  type PrivateKey,
} from '../../lib/index.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { until } from '../helpers/edge.ts';

const PLACES = 2;
const VERSIONS: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3'];

let site: Issued;
let identity: Issued;

before(async () => {
  const authority = await makeAuthority();
  [site, identity] = await Promise.all([
    authority.issue({ type: 'p256' }),
    authority.issue({ type: 'p256' }),
  ]);
  configureEngine({ maxPausedHandshakes: PLACES });
});
after(() => configureEngine({ maxPausedHandshakes: 10_000 }));

const LENIENT = { host: '127.0.0.1', rejectUnauthorized: false } as const;

for (const maxVersion of VERSIONS) {
  test(`where all places are taken the way to the key's holder is free, ${maxVersion}`, async () => {
    const { certPem: cert, keyPem: key } = site;
    const holder = tls.createServer({ cert, key, maxVersion, requestCert: true, rejectUnauthorized: false });
    const told: (string | undefined)[] = [];
    holder.on('secureConnection', (socket) => {
      told.push(socket.getPeerX509Certificate()?.fingerprint256);
      socket.end();
    });
    const holderPort = await listen(holder);
    const local = localKey(key);
    let ask: () => void = () => undefined;
    const allWait = new Promise<void>((resolve) => (ask = resolve));
    const remote: PrivateKey = {
      async sign(operation) {
        await allWait;
        const own = { cert: identity.certPem, key: localKey(identity.keyPem) };
        await once(connect({ ...LENIENT, ...own, port: holderPort }).resume(), 'close');
        return local.sign(operation);
      },
    };
    const server = createServer({ cert, key: remote }, (socket) => socket.end());
    const port = await listen(server);
    const visits = Array.from({ length: 2 * PLACES }, () => tls.connect({ ...LENIENT, port }).resume());
    const ends = Promise.all(visits.map((visit) => once(visit, 'close')));
    await until(() => engineStats().paused === PLACES && engineStats().queued === PLACES);
    ask();
    await ends;
    assert.equal(told.length, 2 * PLACES);
    assert.equal(new Set(told).size, 1);
    assert.ok(told[0], 'it is a client with a certificate');
    await Promise.all([close(server), close(holder)]);
  });
}

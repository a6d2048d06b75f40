/** Sockets over a stream of the user's that are dropped without an end: they go as they would go natively. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createSecureContext, engineStats, localKey } from '../../lib/index.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';
import { until } from '../helpers/edge.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const SOCKETS = 300;
/** The garbage collector is conservative where a stack or a register still names one. */
const KEPT_AT_MOST = 5;

const issued: Promise<Issued> = makeAuthority().then((authority) => authority.issue({ type: 'p256' }));
let gone = 0;
const registry = new FinalizationRegistry(() => {
  gone += 1;
});

/** @returns when both sides have done what they can without waiting for anybody */
async function drop(makeServer: () => TLSSocket[]): Promise<void> {
  gone = 0;
  let made = 0;
  for (let socket = 0; socket < SOCKETS; socket += 1) {
    for (const each of makeServer()) {
      registry.register(each, undefined);
      made += 1;
    }
  }
  await until(() => {
    collect();
    return gone >= made - KEPT_AT_MOST && engineStats().handshakes <= KEPT_AT_MOST;
  });
}

async function contexts() {
  const { certPem, keyPem } = await issued;
  return {
    keyless: createSecureContext({ cert: certPem, key: localKey(keyPem, { sync: true }) }),
    native: tls.createSecureContext({ cert: certPem, key: keyPem }),
  };
}

test('keyless sockets that have not begun', async () => {
  const { keyless } = await contexts();
  await drop(() => [new tls.TLSSocket(duplexPair()[0], { isServer: true, secureContext: keyless })]);
});

test("Node's own sockets beside them, with an ALPNCallback and without", async () => {
  const { native } = await contexts();
  await drop(() => [
    new tls.TLSSocket(duplexPair()[0], { isServer: true, secureContext: native }),
    new tls.TLSSocket(duplexPair()[0], {
      isServer: true,
      secureContext: native,
      ALPNCallback: () => undefined,
    }),
  ]);
});

test('keyless sockets whose handshake is done', async () => {
  const { keyless } = await contexts();
  let done = 0;
  await drop(() => {
    const [here, there] = duplexPair();
    const server = new tls.TLSSocket(here, { isServer: true, secureContext: keyless });
    const client = tls.connect({ socket: there, rejectUnauthorized: false });
    client.once('secureConnect', () => {
      done += 1;
    });
    return [server, client];
  });
  assert.equal(done, SOCKETS);
});

test('keyless sockets that nobody refers to finish what is under way', async () => {
  const { keyless } = await contexts();
  const collecting = setInterval(collect, 1);
  const done = Array.from({ length: 20 }, async () => {
    const [here, there] = duplexPair();
    const server = new tls.TLSSocket(here, { isServer: true, secureContext: keyless });
    server.resume();
    await once(tls.connect({ socket: there, rejectUnauthorized: false }), 'secureConnect');
  });
  await Promise.all(done);
  clearInterval(collecting);
});

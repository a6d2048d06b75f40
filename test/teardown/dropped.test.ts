/** Sockets over a stream of the user's that are dropped without an end: they go as they would go natively. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import tls, { type SecureContext, type TLSSocket } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createSecureContext, createServer, engineStats, Handshake, localKey } from '../../lib/index.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';
import { until } from '../helpers/edge.ts';
import { remoteKey } from '../helpers/parity.ts';

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

test('servers that are their own key', async () => {
  const { certPem, keyPem } = await issued;
  const local = localKey(keyPem, { sync: true });
  let gone = 0;
  const servers = new FinalizationRegistry(() => {
    gone += 1;
  });
  for (let made = 0; made < SOCKETS; made += 1) {
    const key = { sign: local.sign, server: undefined as tls.Server | undefined };
    key.server = createServer({ cert: certPem, key });
    servers.register(key.server, undefined);
  }
  await until(() => {
    collect();
    return gone >= SOCKETS - KEPT_AT_MOST;
  });
});

test('a Handshake has its key when the caller has let go of it', async () => {
  const { certPem, keyPem } = await issued;
  const local = localKey(keyPem, { sync: true });
  const make = () =>
    new Handshake({ role: 'server', cert: certPem, key: { sign: (operation) => local.sign(operation) } });
  const server = make();
  const client = new Handshake({ role: 'client', servername: 'localhost', ca: certPem });
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise(setImmediate);
    collect();
  }
  assert.equal(server.feed(client.drain()), 'WANT_SIGN');
  const { operation } = server;
  assert.ok(operation?.kind === 'sign');
  server.supply((await local.sign(operation)) as Uint8Array);
  assert.ok(server.drain().length > 0);
  for (const each of [server, client]) each.close();
});

/** @returns what a client that takes only ECDSA sees of a socket that was given an EC key and then an RSA key */
async function giveTwoKeys(make: (issued: Issued) => SecureContext): Promise<string> {
  const [p256, rsa] = [await issued, await (await makeAuthority()).issue({ type: 'rsa' })];
  const [here, there] = duplexPair();
  const server = new tls.TLSSocket(here, { isServer: true, secureContext: make(rsa) });
  server.on('error', () => {});
  for (const each of [p256, rsa]) server.setKeyCert(make(each));
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise(setImmediate);
    collect();
  }
  const client = tls.connect({
    socket: there,
    rejectUnauthorized: false,
    sigalgs: 'ecdsa_secp256r1_sha256',
  });
  return new Promise((resolve) => {
    client.on('secureConnect', () => resolve(String(client.getPeerX509Certificate()?.fingerprint256)));
    client.on('error', ({ code }: NodeJS.ErrnoException) => resolve(String(code)));
  });
}

test('a socket has both keys that it was given, when nobody else has them', async () => {
  const native = await giveTwoKeys(({ certPem, keyPem }) =>
    tls.createSecureContext({ cert: certPem, key: keyPem }),
  );
  const keyless = await giveTwoKeys(({ certPem, keyPem }) =>
    createSecureContext({ cert: certPem, key: remoteKey(keyPem, 'turn') }),
  );
  assert.equal(keyless, native);
});

/** Hands its data over in the next turn, and refers to nothing meanwhile but the other half. */
class LaterHalf extends Duplex {
  other: LaterHalf | undefined;

  override _read(): void {
    // The other half pushes.
  }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    setImmediate(() => this.other?.push(chunk));
    done();
  }
}

/** Only what is under way refers to the sockets. */
async function shakeHands(secureContext: SecureContext): Promise<void> {
  const [here, there] = [new LaterHalf(), new LaterHalf()];
  here.other = there;
  there.other = here;
  new tls.TLSSocket(here, { isServer: true, secureContext });
  await once(tls.connect({ socket: there, rejectUnauthorized: false }), 'secureConnect');
}

test('keyless sockets that nobody refers to finish what is under way', async () => {
  const { keyless } = await contexts();
  let done = 0;
  const collectInEachTurn = () => {
    collect();
    if (done < 20) setImmediate(collectInEachTurn);
  };
  collectInEachTurn();
  for (let pair = 0; pair < 20; pair += 1) void shakeHands(keyless).then(() => (done += 1));
  await until(() => done === 20);
});

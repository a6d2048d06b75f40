/** A PKCS#11 token behind a key server: its clients come in turn, and a process of it that stands still is no oracle. */
import assert from 'node:assert/strict';
import { constants, type KeyObject, publicEncrypt } from 'node:crypto';
import { connect as connectTcp } from 'node:net';
import { after, before, test } from 'node:test';
import { subjectKeyId } from '../../lib/protocol/key-id.ts';
import { pingRequest, premasterRequest, signRequest } from '../../lib/protocol/request-encoder.ts';
import { type ServerOperation, serverKeyFailed, serverOperation } from '../../lib/server/channels.ts';
import type { KeyServer } from '../../lib/server/key-server.ts';
import { type Pkcs11Options, pkcs11Token } from '../../lib/server/stores/pkcs11-token.ts';
import { until } from '../helpers/edge.ts';
import { certificateVerify } from '../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { childPids, PIN, SOFTHSM, SoftHsm } from '../helpers/soft-hsm.ts';
import { connectPeer, type WirePeer } from '../helpers/wire-peer.ts';

let hsm: SoftHsm;
let setup: KeyServerSetup;
let rsa: KeyObject;
let ids: Readonly<Record<'rsa' | 'p256', Buffer>>;

const idOf = (key: KeyObject) => Buffer.from(subjectKeyId(key.export({ type: 'spki', format: 'der' })));

before(async () => {
  hsm = new SoftHsm();
  hsm.addToken('keyless');
  const keys = hsm.generate('keyless', [
    { type: 'rsa', label: 'rsa', decrypt: true },
    { type: 'p256', label: 'p256' },
  ]);
  rsa = keys[0]!;
  ids = { rsa: idOf(rsa), p256: idOf(keys[1]!) };
  setup = await makeKeyServers([]);
});
after(() => hsm.remove());

/** A key server over the token, with one process for it. */
async function withServer(
  options: Partial<Pkcs11Options>,
  work: (peer: WirePeer, server: KeyServer & { readonly port: number }, pid: number) => Promise<void>,
): Promise<void> {
  const token = { library: SOFTHSM, token: 'keyless', pin: PIN, decrypt: true, processes: 1 };
  const keys = await pkcs11Token({ ...token, ...options });
  const server = await setup.start({ keys, allowDecrypt: 'every-key' });
  const peer = await connectPeer(server.port, setup.edgeOptions);
  try {
    await work(peer, server, childPids()[0]!);
  } finally {
    peer.close();
    await server.close();
    keys.close();
    await until(() => childPids().length === 0);
  }
}

test('a premaster asked of a token that does not answer is error 03, and the operator is told', async () => {
  const clock = new ManualClock();
  await withServer({ clock }, async (peer, _, pid) => {
    const premaster = Buffer.concat([Buffer.of(3, 3), Buffer.alloc(46, 7)]);
    const ciphertext = publicEncrypt({ key: rsa, padding: constants.RSA_PKCS1_PADDING }, premaster);
    const ask = () => peer.ask(premasterRequest(ciphertext, 0x0303, { keyId: ids.rsa }));
    assert.deepEqual(await ask(), { kind: 'result', payload: premaster });
    let told = 0;
    const listen = () => {
      told += 1;
    };
    serverKeyFailed.subscribe(listen);
    process.kill(pid, 'SIGSTOP');
    const hanging = ask();
    await until(() => clock.pending > 0);
    clock.advance(5000);
    assert.deepEqual(await hanging, { kind: 'error', code: 3 });
    serverKeyFailed.unsubscribe(listen);
    assert.equal(told, 1);
    assert.deepEqual(await ask(), { kind: 'result', payload: premaster });
  });
});

test('key servers with the same token make the same of a ciphertext without a premaster', async () => {
  const answers: unknown[] = [];
  const request = premasterRequest(Buffer.alloc(256, 1), 0x0303, { keyId: ids.rsa });
  const ask = async (peer: WirePeer) => void answers.push(await peer.ask(request));
  for (const time of [1, 2]) {
    await withServer({}, ask);
    assert.equal(answers.length, time);
  }
  assert.deepEqual(answers[1], answers[0]);
});

test('what a client has asked for before it left is not asked of a token, and holds up nobody', () =>
  withServer({}, async (peer, server, pid) => {
    const request = () => signRequest('ecdsa_secp256r1_sha256', certificateVerify(), { keyId: ids.p256 });
    process.kill(pid, 'SIGSTOP');
    const socket = connectTcp(server.port, '127.0.0.1');
    const gone = await connectPeer(server.port, setup.edgeOptions, 'ours', { socket, host: undefined });
    for (let asked = 0; asked < 20; asked += 1) gone.send(request());
    await gone.ask(pingRequest());
    // One is with the process, one would be next.
    assert.equal(server.stats().waiting, 18);
    // One that only ends its side may still read its answers.
    socket.resetAndDestroy();
    await until(() => server.stats().connections === 1);
    let abandoned = 0;
    const listen = (message: unknown) => {
      if ((message as ServerOperation).refusal === 'abandoned') abandoned += 1;
    };
    serverOperation.subscribe(listen);
    const answer = peer.ask(request());
    process.kill(pid, 'SIGCONT');
    assert.equal((await answer).kind, 'result');
    serverOperation.unsubscribe(listen);
    assert.equal(abandoned, 18);
  }));

test('a label that several keys have which decrypt names none of them, now or later', async () => {
  hsm.addToken('twins');
  const [first] = hsm.generate('twins', [{ type: 'rsa', label: 'twin', decrypt: true }]);
  const keys = await pkcs11Token({ library: SOFTHSM, token: 'twins', pin: PIN, decrypt: true, processes: 1 });
  const server = await setup.start({ keys, allowDecrypt: ['pkcs11 twin'] });
  const peer = await connectPeer(server.port, setup.edgeOptions);
  const ask = async (key: KeyObject) => {
    const answer = await peer.ask(premasterRequest(Buffer.alloc(256, 1), 0x0303, { keyId: idOf(key) }));
    return answer.kind === 'error' ? answer.code : answer.kind;
  };
  try {
    assert.equal(await ask(first!), 'result');
    const [second] = hsm.generate('twins', [
      { type: 'rsa', label: 'twin', decrypt: true },
      { type: 'p256', label: 'twin' },
    ]);
    await keys.reload();
    assert.deepEqual([await ask(first!), await ask(second!)], [2, 2]);
    assert.deepEqual(
      keys.keys.map(({ label }) => label),
      ['pkcs11 twin', 'pkcs11 twin', 'pkcs11 twin'],
    );
  } finally {
    peer.close();
    await server.close();
    keys.close();
  }
});

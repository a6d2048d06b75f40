/** The processes that hold keys, one after the other: keys move on, and only those that may. */
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { KeptKeys } from '../../../lib/keepers/kept-keys.ts';
import type { HandedKey } from '../../../lib/keepers/key-holder.ts';
import { KeyProcess } from '../../../lib/keepers/key-process.ts';
import { Seal, sealFor } from '../../../lib/keepers/sealed-key.ts';
import { subjectKeyId } from '../../../lib/protocol/key-id.ts';
import { signRequest } from '../../../lib/protocol/request-encoder.ts';
import { childrenOf } from '../../helpers/child-processes.ts';
import { certificateVerify } from '../../helpers/handshake-messages.ts';

// Processes with keys keep no other alive.
const alive = setInterval(() => undefined, 60_000);
after(() => clearInterval(alive));

interface Kept extends HandedKey {
  readonly publicKey: KeyObject;
  readonly keyId: Buffer;
}

function newKey(alone = false): Kept {
  return keptKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, alone);
}

function keptKey(privateKey: KeyObject, alone: boolean): Kept {
  const publicKey = createPublicKey(privateKey);
  const keyId = Buffer.from(subjectKeyId(publicKey.export({ type: 'spki', format: 'der' })));
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
  return { publicKey, keyId, name: keyId.toString('hex'), pkcs8, alone };
}

async function signs(processes: KeyProcess, { name, keyId, publicKey }: Kept): Promise<boolean> {
  const message = certificateVerify();
  const signature = await processes.ask(name, signRequest('ecdsa_secp256r1_sha256', message, { keyId }));
  return verify('sha256', message, publicKey, signature);
}

/** Its place is taken, and what may move has moved. @returns what the warning said */
async function killOne(processes: KeyProcess, pid: number, moves: readonly Kept[]): Promise<string> {
  const warned = once(process, 'warning');
  process.kill(pid, 'SIGKILL');
  const [warning] = (await warned) as [NodeJS.ErrnoException];
  assert.equal(warning.code, 'KEYLESS_KEY_PROCESS_ENDED');
  while (moves.some(({ name }) => processes.copiesOf(name) < 2)) await new Promise(setImmediate);
  return warning.message;
}

test('keys move to the process that takes the place of another: each may end, one after the other', async () => {
  const processes = new KeyProcess();
  const keys = [newKey(), newKey(), newKey()];
  const before = new Set(childrenOf(process.pid));
  for (const key of keys) processes.keep(key);
  const first = childrenOf(process.pid).filter((pid) => !before.has(pid));
  assert.equal(first.length, 2);
  for (const pid of first) {
    assert.match(await killOne(processes, pid, keys), /\(SIGKILL\)\. Another one takes its place/);
    for (const key of keys) assert.ok(await signs(processes, key));
  }
  const second = childrenOf(process.pid).filter((pid) => !before.has(pid));
  assert.ok(!second.some((pid) => first.includes(pid)));
});

test('a key that is to stay alone does not move, is given again, and is lost with the last that had it', async () => {
  const processes = new KeyProcess();
  const [alone, other] = [newKey(true), newKey()];
  const before = new Set(childrenOf(process.pid));
  processes.keep(alone);
  processes.keep(other);
  const [first, second] = childrenOf(process.pid).filter((pid) => !before.has(pid)) as [number, number];
  await killOne(processes, first, [other]);
  assert.equal(processes.copiesOf(alone.name), 1);
  assert.ok(await signs(processes, alone));
  assert.match(await killOne(processes, second, [other]), /1 of the keys have gone with it/);
  assert.ok(await signs(processes, other));
  await assert.rejects(signs(processes, alone), {
    code: 'ERR_KEYLESS_CONNECTION',
    message: /the key is gone with them\. Give it again/,
  });
  processes.keep(alone);
  assert.equal(processes.copiesOf(alone.name), 2);
  assert.ok(await signs(processes, alone));
});

test('a key is sealed for one process: no other opens it, none that was changed is opened, and it shows nothing', () => {
  const { pkcs8 } = newKey();
  const [seal, another] = [new Seal(), new Seal()];
  const sealed = sealFor(seal.address, pkcs8);
  assert.deepEqual(seal.open(sealed), Buffer.from(pkcs8));
  assert.throws(() => another.open(sealed));
  for (const at of [20, 50, sealed.length - 1]) {
    const changed = Buffer.from(sealed);
    changed[at]! ^= 1;
    assert.throws(() => seal.open(changed));
  }
  assert.equal(sealed.includes(Buffer.from(pkcs8).subarray(36, 52)), false);
  assert.notDeepEqual(sealFor(seal.address, pkcs8), sealed);
});

test('a process seals what it may, and wipes what it was handed', () => {
  const keys = new KeptKeys();
  const { address } = new Seal();
  for (const alone of [false, true]) {
    const { keyId, pkcs8 } = newKey();
    keys.keep(pkcs8, alone);
    assert.ok(pkcs8.every((byte) => byte === 0));
    assert.equal(keys.sealed(keyId, address) === undefined, alone);
  }
  assert.equal(keys.sealed(newKey().keyId, address), undefined);
});

test('answers for a key come in the order in which they were asked for, though several threads sign', async () => {
  const processes = new KeyProcess();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = keptKey(privateKey, false);
  processes.keep(key);
  const come: number[] = [];
  const { name, keyId } = key;
  const ask = () => processes.ask(name, signRequest('rsa_pss_rsae_sha256', certificateVerify(), { keyId }));
  const asked = Array.from({ length: 500 }, (_, index) => index);
  await Promise.all(asked.map((index) => ask().then(() => come.push(index))));
  assert.deepEqual(come, asked);
});

/** The processes that hold keys, one after the other: keys move on, and only those that may. */
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { KeptKeys } from '../../../lib/keepers/kept-keys.ts';
import { type HandedKey, KeyHolder } from '../../../lib/keepers/key-holder.ts';
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

async function signs(processes: KeyProcess, key: Kept): Promise<boolean> {
  const message = certificateVerify();
  const { keyId, publicKey } = key;
  const signature = await processes.ask(key, signRequest('ecdsa_secp256r1_sha256', message, { keyId }));
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

test('a key that came sealed is sealed for others, read when it is used, and takes the place of none that was given', () => {
  const [from, to] = [new KeptKeys(), new KeptKeys()];
  const [moved, alone] = [newKey(), newKey(true)];
  const pkcs8 = Buffer.from(moved.pkcs8);
  const sealedFor = (key: Kept) => from.sealed(key.keyId, to.address())!;
  for (const { pkcs8: each } of [moved, alone]) from.keep(Buffer.from(each), false);
  to.keep(Buffer.from(alone.pkcs8), true);
  for (const key of [moved, alone]) to.open(key.keyId, sealedFor(key));
  const third = new Seal();
  // Before it is read, and afterwards.
  for (let count = 0; count < 2; count += 1) {
    assert.deepEqual(third.open(to.sealed(moved.keyId, third.address)!), pkcs8);
    const found = to.find({ keyId: moved.keyId, certificateDigest: undefined });
    assert.deepEqual(Buffer.from(found!.keyId), moved.keyId);
  }
  assert.equal(to.sealed(alone.keyId, third.address), undefined);
  to.drop(moved.keyId);
  assert.equal(to.find({ keyId: moved.keyId, certificateDigest: undefined }), undefined);
});

test('answers for a key come in the order in which they were asked for, though several threads sign', async () => {
  const processes = new KeyProcess();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = keptKey(privateKey, false);
  processes.keep(key);
  const come: number[] = [];
  const { keyId } = key;
  const ask = () => processes.ask(key, signRequest('rsa_pss_rsae_sha256', certificateVerify(), { keyId }));
  const asked = Array.from({ length: 500 }, (_, index) => index);
  await Promise.all(asked.map((index) => ask().then(() => come.push(index))));
  assert.deepEqual(come, asked);
});

test('a key that is dropped is gone from both processes, and works when it is given again', async () => {
  const processes = new KeyProcess();
  const [key, other] = [newKey(), newKey()];
  processes.keep(key);
  processes.keep(other);
  assert.ok(await signs(processes, key));
  processes.drop(key.name);
  assert.equal(processes.copiesOf(key.name), 0);
  await assert.rejects(signs(processes, key), { code: 'ERR_KEYLESS_CONNECTION' });
  assert.ok(await signs(processes, other));
  processes.keep(key);
  assert.equal(processes.copiesOf(key.name), 2);
  assert.ok(await signs(processes, key));
});

const NO_EVENTS = { onEnd() {}, onExposed() {}, onExit() {}, onSilence: () => false };

/** Whatever the app takes it for having. */
function signsAt(holder: KeyHolder, { keyId }: Kept): Promise<boolean> {
  const request = signRequest('ecdsa_secp256r1_sha256', certificateVerify(), { keyId });
  return new Promise((resolve) => holder.ask(request, (result) => resolve(result instanceof Uint8Array)));
}

test('keys that are dropped on their way to another process are not there; what is given again is', async () => {
  const from = new KeyHolder(NO_EVENTS);
  const before = new Set(childrenOf(process.pid));
  const to = new KeyHolder(NO_EVENTS);
  const [pid] = childrenOf(process.pid).filter((each) => !before.has(each)) as [number];
  const [kept, dropped, again] = [newKey(), newKey(), newKey()];
  for (const key of [kept, dropped, again]) from.keep(key);
  const copied = from.copyKeysTo(to);
  // Its address is known then, and the keys have been asked for; when the other one has answered, they have been sent to this one.
  await signsAt(to, kept);
  process.kill(pid, 'SIGSTOP');
  await signsAt(from, kept);
  await new Promise(setImmediate);
  for (const { name } of [dropped, again]) for (const holder of [from, to]) holder.drop(name);
  for (const holder of [from, to]) holder.keep(again);
  process.kill(pid, 'SIGCONT');
  await copied;
  for (const holder of [from, to]) {
    const seen = await Promise.all([kept, dropped, again].map((key) => signsAt(holder, key)));
    assert.deepEqual(seen, [true, false, true]);
    assert.deepEqual(
      [kept, dropped, again].map(({ name }) => holder.has(name)),
      seen,
    );
    holder.end();
  }
});

test('keys that are dropped while many are on their way are not there, whenever that is', async () => {
  const [from, to] = [new KeyHolder(NO_EVENTS), new KeyHolder(NO_EVENTS)];
  const keys = Array.from({ length: 100 }, () => newKey());
  for (const key of keys) from.keep(key);
  const copied = from.copyKeysTo(to);
  const dropped = keys.filter((_, at) => at % 3 === 0).reverse();
  for (const { name } of dropped) {
    for (const holder of [from, to]) holder.drop(name);
    await new Promise(setImmediate);
  }
  await copied;
  const kept = keys.map((key) => !dropped.includes(key));
  for (const holder of [from, to]) {
    assert.deepEqual(await Promise.all(keys.map((key) => signsAt(holder, key))), kept);
    assert.deepEqual(
      keys.map(({ name }) => holder.has(name)),
      kept,
    );
    holder.end();
  }
});

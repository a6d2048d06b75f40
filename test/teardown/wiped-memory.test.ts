/** What a process has had of secrets is not in its memory any more, neither JavaScript's nor the addon's. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { constants, privateDecrypt, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, before, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { search } from '../helpers/memory.ts';

const ROUNDS = 6;
/** What a freed block of memory keeps longest: its head is the allocator's. */
const TELLING_BYTES = 24;
const PSK_BYTES = 60;

let issued: Issued;
let child: ChildProcess;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'rsa' });
});
afterEach(async () => {
  child.kill();
  await once(child, 'exit');
});

function inverted(secret: Uint8Array): string {
  return Buffer.from(secret.map((byte) => ~byte)).toString('hex');
}

interface Told {
  readonly port?: number;
  readonly question?: string;
  readonly more?: string;
  readonly state?: string;
}

/** @param answers each question of the process's */
async function start(
  plan: { leases: boolean; keeps: boolean },
  answers: (more: string) => Uint8Array,
): Promise<number> {
  child = fork(new URL('../helpers/wiping-app.js', import.meta.url));
  child.on('message', ({ question, more = '' }: Told) => {
    if (question !== undefined) child.send(inverted(answers(more)));
  });
  child.send({ cert: issued.certPem, ...plan });
  return (await told(({ port }) => port)) as number;
}

/** The first message that says what is looked for. */
function told<T>(look: (message: Told) => T | undefined): Promise<T> {
  return new Promise((resolve) => {
    const onMessage = (message: Told) => {
      const found = look(message);
      if (found === undefined) return;
      child.off('message', onMessage);
      resolve(found);
    };
    child.on('message', onMessage);
  });
}

/**
 * Handshakes by RSA-PSK, which has both.
 *
 * @param more bytes that the key answers with, which is too many @returns which of their secrets were found afterwards
 */
async function found(keeps: boolean, more = 0): Promise<string[]> {
  const secrets = new Map<string, Buffer>();
  const port = await start({ leases: false, keeps }, (ciphertext) => {
    const key = { key: issued.keyPem, padding: constants.RSA_NO_PADDING };
    const block = privateDecrypt(key, Buffer.from(ciphertext, 'hex'));
    secrets.set(`premaster ${secrets.size}`, block.subarray(-TELLING_BYTES));
    return Buffer.concat([block, Buffer.alloc(more)]);
  });
  for (let round = 0; round < ROUNDS; round += 1) {
    const psk = randomBytes(PSK_BYTES);
    const socket = connect({
      ...{ port, host: '127.0.0.1', rejectUnauthorized: false, checkServerIdentity: () => undefined },
      ...{ ciphers: 'RSA-PSK-AES128-GCM-SHA256', maxVersion: 'TLSv1.2' },
      pskCallback: () => ({ psk, identity: inverted(psk) }),
    } as unknown as ConnectionOptions);
    socket.on('error', () => undefined).resume();
    await new Promise((resolve) => socket.on('close', resolve));
    secrets.set(`psk ${secrets.size}`, psk.subarray(-TELLING_BYTES));
  }
  assert.equal(secrets.size, 2 * ROUNDS);
  return [...search(child.pid as number, secrets)];
}

test('premasters and pre-shared keys are found where they are kept: the search works', async () => {
  assert.equal((await found(true)).length, 2 * ROUNDS);
});

test('of premasters and pre-shared keys nothing is left when their handshakes are over', async () => {
  assert.deepEqual(await found(false), []);
});

test('of a premaster that was not taken nothing is left either', async () => {
  assert.deepEqual(await found(false, 1), []);
});

test('of leased ticket keys nothing is left when others are there, and when the lease has ended', async () => {
  const epochs: Map<string, Buffer>[] = [];
  await start({ leases: true, keeps: false }, () => {
    const keys = randomBytes(4 * 48);
    const names = ['next', 'current', 'previous', 'oldest'];
    epochs.push(
      new Map(names.map((name, at) => [name, keys.subarray(at * 48 + 48 - TELLING_BYTES, at * 48 + 48)])),
    );
    const header = Buffer.from('000003e80000019000000000000000', 'hex');
    return Buffer.concat([header, Buffer.of(10), keys]);
  });
  const look = (epoch: number) => [...search(child.pid as number, epochs[epoch]!)];
  const pass = async (ms: number) => {
    child.send(ms);
    return told(({ state }) => state);
  };
  assert.equal(look(0).length, 4, 'the search works');
  await pass(250);
  while (epochs.length < 2) await pass(0);
  await pass(0);
  assert.deepEqual([look(0), look(1).length], [[], 4]);
  assert.equal(await pass(1000), 'ended');
  assert.deepEqual(look(1), []);
});

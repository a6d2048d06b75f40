/**
 * RSA and ECDSA on one key server that has nearly as much RSA as it can do: row 32 of docs/operations.md. ECDSA must wait
 * behind it neither there nor at the edge.
 *
 * RSA is as slow as it is told, so that the load is a share of something that is known, whatever else the machine does. What
 * the machine and this process take at the moment is measured beside it, by an idle key server that is asked at the same time.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setSigningThreads, signingDepth } from '../../lib/engine/signing-threads.ts';
import type { KeylessError } from '../../lib/errors.ts';
import { connectKeyServers, type KeyServers } from '../../lib/keys/key-servers.ts';
import { keyStoreOf } from '../../lib/server/pem-directory.ts';
import { pemKey } from '../../lib/server/pem-key.ts';
import { certificateVerify } from '../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { limitedKey } from '../helpers/limited-key.ts';
import { signOperation } from '../helpers/operations.ts';

const SCHEMES = { rsa: 'rsa_pss_rsae_sha256', p256: 'ecdsa_secp256r1_sha256' } as const;
const RSA_PER_SECOND = 100;
const LOAD = 0.8;
const ROUNDS = 7;
const ROUND_MS = 2000;
const MOST_MS = 5;
/** For one operation. */
const TIME_MS = 2000;
/** More than a key server can do. */
const FLOOD = 20;

let setup: KeyServerSetup;
const open: { close(): unknown }[] = [];

before(async () => {
  // On each machine the same: 16 have a turn at once, with one thread.
  setSigningThreads(1);
  setup = await makeKeyServers(['rsa', 'p256']);
});
after(async () => {
  for (const each of open) await each.close();
});

async function edgeOfNewServer(): Promise<KeyServers> {
  const { rsa, p256 } = setup.sites;
  // As many as have a turn at once: the others wait where ECDSA could wait behind them.
  const slow = limitedKey(rsa!.keyPem, RSA_PER_SECOND, { atOnce: signingDepth() });
  const keys = keyStoreOf([slow, pemKey(p256!.keyPem, 'p256')]);
  const server = await setup.start({ keys });
  const edge = connectKeyServers({ servers: [`127.0.0.1:${server.port}`], ...setup.edgeOptions });
  open.unshift(edge);
  open.push(server);
  await edge.ready();
  return edge;
}

/** Milliseconds of each operation, by kind; `idle`: ECDSA at the key server that has nothing else to do. */
type Took = Readonly<Record<'rsa' | 'p256' | 'idle', number[]>>;

/**
 * They arrive at random moments, whatever becomes of those before: bursts are as they are in life.
 *
 * @param rsaEach of RSA for each of ECDSA; what comes too late counts for nothing
 */
async function arrivals(loaded: KeyServers, idle: KeyServers, rsaEach = 1): Promise<Took> {
  const took: Took = { rsa: [], p256: [], idle: [] };
  const pending: Promise<unknown>[] = [];
  const ask = async (edge: KeyServers, kind: keyof typeof SCHEMES, list: number[]): Promise<void> => {
    const since = performance.now();
    const { keyId } = setup.sites[kind]!;
    await edge.sign(signOperation(keyId, SCHEMES[kind], certificateVerify(), TIME_MS));
    list.push(performance.now() - since);
  };
  const since = performance.now();
  let due = 0;
  for (let elapsed = 0; elapsed < ROUND_MS; elapsed = performance.now() - since) {
    for (; due <= elapsed; due += (-Math.log(1 - Math.random()) * 1000) / (LOAD * RSA_PER_SECOND)) {
      pending.push(ask(loaded, 'p256', took.p256), ask(idle, 'p256', took.idle));
      for (let each = 0; each < rsaEach; each += 1) {
        const rsa = ask(loaded, 'rsa', took.rsa);
        pending.push(rsaEach === 1 ? rsa : rsa.catch(tooLate));
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(pending);
  return took;
}

function tooLate(error: unknown): void {
  assert.ok(
    ['ERR_KEYLESS_TIMEOUT', 'ERR_KEYLESS_OVERLOADED'].includes((error as KeylessError).code),
    String(error),
  );
}

function at(share: number, values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor((values.length - 1) * share)]!;
}

test('row 32: as much ECDSA as RSA, which a key server is busy with for 80 % of its time: ECDSA p99 is at most 5 ms above an idle one’s', async (context) => {
  const [loaded, idle] = [await edgeOfNewServer(), await edgeOfNewServer()];
  // The first ones compile.
  await arrivals(loaded, idle);
  const more: number[] = [];
  const rsa: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const took = await arrivals(loaded, idle);
    more.push(at(0.99, took.p256) - at(0.99, took.idle));
    rsa.push(at(0.5, took.rsa) - at(0.5, took.idle));
    const figures = Object.entries(took).map(
      ([kind, each]) => `${kind} p50 ${at(0.5, each).toFixed(2)}, p99 ${at(0.99, each).toFixed(2)} ms`,
    );
    context.diagnostic(`${took.rsa.length} pairs: ${figures.join('; ')}`);
  }
  assert.ok(at(0.5, rsa) > MOST_MS, 'RSA takes long, so there is something that ECDSA must not wait for');
  assert.ok(at(0.5, more) <= MOST_MS, `${at(0.5, more)} ms more`);
});

test('row 32: sixteen times as much RSA as a key server can do: ECDSA waits behind none of it', async (context) => {
  const [loaded, idle] = [await edgeOfNewServer(), await edgeOfNewServer()];
  await arrivals(loaded, idle);
  const more: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const { rsa, p256, idle: alone } = await arrivals(loaded, idle, FLOOD);
    more.push(at(0.99, p256) - at(0.99, alone));
    const figures = `ECDSA p99 ${at(0.99, p256).toFixed(2)} ms, at an idle one ${at(0.99, alone).toFixed(2)} ms`;
    context.diagnostic(`${p256.length} of ECDSA, ${rsa.length} of RSA in time: ${figures}`);
    assert.ok(rsa.length < p256.length * FLOOD, 'not all RSA was in time, so it was more than can be done');
  }
  assert.ok(at(0.5, more) <= MOST_MS, `${at(0.5, more)} ms more`);
});

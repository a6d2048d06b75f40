/** Half RSA, half ECDSA, at 80 % of what the key server can do: row 32 of docs/operations.md. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connectKeyServers } from '../../lib/keys/key-servers.ts';
import { certificateVerify } from '../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { signOperation } from '../helpers/operations.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

const SHARE = 0.8;
const CALIBRATION_MS = 3000;
const LOADED_MS = 5000;
/** Of one connection that asks without a pause. */
const WINDOW = 64;
const MOST_MS = 5;

let setup: KeyServerSetup;
let files: ServeFiles;
let serve: ServeProcess;

before(async () => {
  setup = await makeKeyServers(['p256', 'rsa']);
  files = serveFiles(setup);
  serve = new ServeProcess([...files.args, '--quiet']);
});
after(async () => {
  serve.child.kill('SIGKILL');
  await serve.ended;
  files.remove();
});

const percentile = (sorted: readonly number[], share: number) =>
  sorted[Math.floor((sorted.length - 1) * share)]!;

test('row 32: ECDSA does not wait for RSA: p99 within 5 ms of what it takes alone', async (context) => {
  const keys = connectKeyServers({ servers: [`127.0.0.1:${await serve.port()}`], ...setup.edgeOptions });
  await keys.ready();
  const ask = {
    ecdsa: () =>
      keys.sign(signOperation(setup.sites.p256!.keyId, 'ecdsa_secp256r1_sha256', certificateVerify())),
    rsa: () => keys.sign(signOperation(setup.sites.rsa!.keyId, 'rsa_pss_rsae_sha256', certificateVerify())),
  };
  /** @returns pairs a second, one of each kind */
  const capacity = async (): Promise<number> => {
    let pairs = 0;
    const since = performance.now();
    const worker = async (): Promise<void> => {
      for (; performance.now() - since < CALIBRATION_MS; pairs += 1)
        await Promise.all([ask.ecdsa(), ask.rsa()]);
    };
    await Promise.all(Array.from({ length: WINDOW }, worker));
    return (pairs * 1000) / (performance.now() - since);
  };
  /** Open loop. @returns milliseconds of each ECDSA operation, sorted */
  const loaded = async (kinds: readonly (keyof typeof ask)[], perSecond: number): Promise<number[]> => {
    const took: number[] = [];
    const pending: Promise<void>[] = [];
    const since = performance.now();
    let asked = 0;
    const timed = async (kind: keyof typeof ask): Promise<void> => {
      const askedAt = performance.now();
      await ask[kind]();
      if (kind === 'ecdsa') took.push(performance.now() - askedAt);
    };
    for (let elapsed = 0; elapsed < LOADED_MS; elapsed = performance.now() - since) {
      for (; asked < (elapsed / 1000) * perSecond; asked += 1) pending.push(...kinds.map(timed));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(pending);
    return took.sort((one, other) => one - other);
  };
  await capacity();
  const perSecond = SHARE * (await capacity());
  const alone = await loaded(['ecdsa'], perSecond);
  const beside = await loaded(['ecdsa', 'rsa'], perSecond);
  const said = (times: readonly number[]) =>
    `p50 ${percentile(times, 0.5).toFixed(1)} ms, p99 ${percentile(times, 0.99).toFixed(1)} ms`;
  context.diagnostic(
    `${perSecond.toFixed(0)} of each kind a second: alone ${said(alone)}, beside RSA ${said(beside)}`,
  );
  keys.close();
  assert.ok(percentile(beside, 0.99) <= MOST_MS + percentile(alone, 0.99), said(beside));
});

/** More operations than key servers can do: row 21 of docs/operations.md. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connectKeyServers, type KeyServers } from '../../lib/keys/key-servers.ts';
import { certificateVerify } from '../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { limitedKey } from '../helpers/limited-key.ts';
import { signOperation } from '../helpers/operations.ts';

/** Signatures a second: far below what the machine can do, so that the machine is not what is measured. */
const CAPACITY = 400;
const DEADLINE_MS = 2000;
const FLOOD_MS = 6000;
/** Until the line has formed. */
const SETTLE_MS = 2000;

let setup: KeyServerSetup;
const open: { close(): unknown }[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
});
after(async () => {
  for (const each of open) await each.close();
});

/** When each signature was made. */
const signedAt: number[] = [];

interface Flood {
  /** Signatures a second that came in time, after the line has formed. */
  readonly goodput: number;
  /** Signatures a second that were made meanwhile: a machine that is busy makes fewer. */
  readonly signed: number;
  /** Milliseconds, of those. */
  readonly p50: number;
  readonly p99: number;
  readonly failures: Readonly<Record<string, number>>;
}

/** So many operations a second by all edges together, whatever becomes of them. */
async function flood(edges: readonly KeyServers[], perSecond: number): Promise<Flood> {
  const { keyId } = setup.sites.p256!;
  const took: number[] = [];
  const failures: Record<string, number> = {};
  const pending: Promise<void>[] = [];
  const since = performance.now();
  const ask = async (edge: KeyServers): Promise<void> => {
    const askedAt = performance.now();
    try {
      await edge.sign(signOperation(keyId, undefined, certificateVerify(), DEADLINE_MS));
      const now = performance.now();
      if (now - since > SETTLE_MS && now - since < FLOOD_MS) took.push(now - askedAt);
    } catch (error) {
      const { code = 'none' } = error as NodeJS.ErrnoException;
      failures[code] = (failures[code] ?? 0) + 1;
    }
  };
  for (let elapsed = 0; elapsed < FLOOD_MS; elapsed = performance.now() - since) {
    while (pending.length < (elapsed / 1000) * perSecond)
      pending.push(ask(edges[pending.length % edges.length]!));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await Promise.all(pending);
  took.sort((one, other) => one - other);
  const seconds = (FLOOD_MS - SETTLE_MS) / 1000;
  const goodput = took.length / seconds;
  const during = signedAt.filter((at) => at - since > SETTLE_MS && at - since < FLOOD_MS);
  return {
    goodput,
    signed: during.length / seconds,
    p50: took[took.length >> 1]!,
    p99: took[Math.floor(took.length * 0.99)]!,
    failures,
  };
}

async function edgesOf(count: number): Promise<KeyServers[]> {
  const { keyPem } = setup.sites.p256!;
  const key = limitedKey(keyPem, CAPACITY, { onSigned: () => signedAt.push(performance.now()) });
  const server = await setup.start({ keys: { find: () => key } });
  open.push(server);
  const edges = Array.from({ length: count }, () =>
    connectKeyServers({ servers: [`127.0.0.1:${server.port}`], ...setup.edgeOptions }),
  );
  open.unshift(...edges);
  await Promise.all(edges.map((edge) => edge.ready()));
  return edges;
}

for (const [count, times] of [
  [1, 2],
  [4, 4],
] as const) {
  test(`row 21: ${count} edges ask for ${times} times what a key server can do: nine tenths of that is done, in time`, async (context) => {
    const edges = await edgesOf(count);
    const { goodput, signed, p50, p99, failures } = await flood(edges, times * CAPACITY);
    context.diagnostic(
      `${goodput.toFixed(0)} a second in time, of ${signed.toFixed(0)} that were signed, ${CAPACITY} at most, p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`,
    );
    assert.ok(goodput >= 0.9 * signed && signed > CAPACITY / 2, `${goodput} of ${signed} a second`);
    assert.ok(p50 < DEADLINE_MS / 2, `p50 ${p50} ms`);
    // What was answered in time is taken note of when the loop comes to it.
    assert.ok(p99 <= 1.2 * DEADLINE_MS, `p99 ${p99} ms`);
    assert.deepEqual(Object.keys(failures), ['ERR_KEYLESS_TIMEOUT']);
    for (const edge of edges) {
      const { waiting, servers } = edge.stats();
      const { inFlight, breakerOpened, failures: lost } = servers[0]!;
      assert.deepEqual(
        { waiting, inFlight, breakerOpened, lost },
        { waiting: 0, inFlight: 0, breakerOpened: 0, lost: 0 },
      );
    }
  });
}

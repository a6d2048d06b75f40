/**
 * Whether a premaster was there cannot be told by a client of the edge either: from its ClientKeyExchange to the alert that ends
 * the handshake, 15,000 handshakes, one at a time, the kinds of premasters in random order, by the statistics of
 * premaster-timing.test.ts. The same test finds a leak of 150 microseconds at the key server: what the network adds hides less.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BOUND, CLASSES, ciphertexts, POOL, shuffled, statistics } from '../helpers/premaster-classes.ts';
import { timePremaster } from '../helpers/premaster-client.ts';
import type { PremasterEdge } from '../helpers/premaster-edge.ts';

const EDGE = fileURLToPath(new URL('../helpers/premaster-edge.js', import.meta.url));
const PER_CLASS = 3000;
const LEAK_MICROSECONDS = 150;

async function measure(
  { port, cert }: PremasterEdge,
  perClass: number,
  names: readonly string[],
): Promise<Map<string, Float64Array>> {
  const { publicKey } = new X509Certificate(cert);
  const inputs = new Map(names.map((name) => [name, ciphertexts(publicKey, CLASSES[name]!)]));
  const times = new Map(names.map((name) => [name, new Float64Array(perClass)]));
  for (let round = 0; round < perClass; round += 1) {
    for (const name of shuffled(names)) {
      times.get(name)![round] = await timePremaster(port, inputs.get(name)![round % POOL]!);
    }
  }
  return times;
}

/** @returns the paired t of each kind against good ones */
async function compare(
  leakMicroseconds: number,
  names: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const child = fork(EDGE, [String(leakMicroseconds)]);
  try {
    const [edge] = (await once(child, 'message')) as [PremasterEdge];
    await measure(edge, 200, names);
    return statistics(await measure(edge, PER_CLASS, names));
  } finally {
    child.kill('SIGKILL');
  }
}

test('15,000 handshakes: no kind of bad premaster takes another time than a good one, seen from a client', async () => {
  for (const [name, t] of await compare(0, Object.keys(CLASSES))) {
    assert.ok(Math.abs(t) < BOUND, `${name}: t = ${t.toFixed(2)}`);
  }
});

test('the same test finds a leak of 150 microseconds, of the kind that leaks only', async () => {
  const t = await compare(LEAK_MICROSECONDS, ['good', 'no 0x02 at the start', 'wrong version']);
  assert.ok(t.get('no 0x02 at the start')! > BOUND, [...t].join());
  assert.ok(Math.abs(t.get('wrong version')!) < BOUND, [...t].join());
});

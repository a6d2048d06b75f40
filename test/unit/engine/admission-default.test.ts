/** The cap on paused handshakes that nobody has configured. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admissionStats, enter } from '../../../lib/engine/admission.ts';

test('10,000 handshakes are paused, as many wait, and the next one is refused', () => {
  let admitted = 0;
  const refused: string[] = [];
  const one = { admit: () => (admitted += 1), refuse: ({ code }: { code: string }) => refused.push(code) };
  for (let number = 1; number <= 20_000; number += 1) enter({ ...one });
  assert.equal(admitted, 10_000);
  assert.deepEqual(refused, []);
  enter({ ...one });
  assert.deepEqual(refused, ['ERR_KEYLESS_TOO_MANY_HANDSHAKES']);
  assert.deepEqual(admissionStats(), { admitted: 10_000, queued: 10_000, refused: 1 });
});

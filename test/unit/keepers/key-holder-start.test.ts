/** A process that is to hold keys, and does not come to run: it is given none, and is ended. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { childrenOf, ended } from '../../helpers/child-processes.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const START_LIMIT_MS = 30_000;

const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-start-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const [node, go, found] = ['node', 'go', 'found'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];

// It says nothing, and looks, when it is told to, at what is in its channel.
writeFileSync(
  node,
  `#!/bin/sh
while [ ! -e '${go}' ]; do sleep 0.01; done
dd bs=65536 count=1 iflag=nonblock <&3 >'${found}.part' 2>&1
mv '${found}.part' '${found}'
exec sleep 600
`,
);
chmodSync(node, 0o755);
process.execPath = node;
const { KeyHolder } = await import('../../../lib/keepers/key-holder.ts');

test('a process that has not said that it runs is sent nothing, and is ended in time', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
  const clock = new ManualClock();
  const told: string[] = [];
  const before = new Set(childrenOf(process.pid));
  const holder = new KeyHolder(
    {
      onEnd: () => told.push('end'),
      onExit: (how) => told.push(how),
      onExposed: () => told.push('exposed'),
      onSilence: () => false,
    },
    clock,
  );
  const [pid] = childrenOf(process.pid).filter((each) => !before.has(each)) as [number];
  holder.keep({ name: 'aa', pkcs8, alone: false });
  const asked = new Promise((resolve) => holder.ask({ opcode: Uint8Array.of(1) }, resolve));
  await new Promise(setImmediate);
  writeFileSync(go, '');
  while (!existsSync(found)) await new Promise(setImmediate);
  assert.match(readFileSync(found, 'latin1'), /^dd: .*Resource temporarily unavailable\n0\+0 records in/);

  clock.advance(START_LIMIT_MS - 1);
  await new Promise(setImmediate);
  assert.deepEqual(told, []);
  clock.advance(1);
  assert.equal(await asked, undefined);
  await ended(pid);
  while (told.length < 2) await new Promise(setImmediate);
  assert.deepEqual(told, ['end', 'it has not started within 30 s']);
});

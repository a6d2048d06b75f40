/** Threads of one process: each has a lease, all resume each other's sessions, and one may end at any time. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { comeBack, firstVisit } from '../helpers/returning-client.ts';

const PROGRAM = new URL('../helpers/leasing-thread.js', import.meta.url);

async function serve({ certPem, keyPem }: Issued): Promise<{ worker: Worker; port: number }> {
  const worker = new Worker(PROGRAM, { workerData: { certPem, keyPem } });
  const [port] = (await once(worker, 'message')) as [number];
  return { worker, port };
}

test('a session resumes on another thread, also when the one that began it was terminated', async () => {
  const authority = await makeAuthority();
  const issued = await authority.issue({ type: 'p256' });
  const [one, two] = await Promise.all([serve(issued), serve(issued)]);
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const goal = { ca: authority.certPem, version };
    const session = await firstVisit({ ...goal, port: one.port });
    assert.equal((await comeBack({ ...goal, port: two.port, session })).reused, true);
  }
  const goal = { ca: authority.certPem, version: 'TLSv1.3' as const };
  const session = await firstVisit({ ...goal, port: one.port });
  await one.worker.terminate();
  assert.equal((await comeBack({ ...goal, port: two.port, session })).reused, true);
  await two.worker.terminate();
});

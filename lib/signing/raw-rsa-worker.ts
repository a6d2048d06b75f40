/** The worker thread of raw-rsa-thread.ts: one task after the other. */
import { parentPort } from 'node:worker_threads';
import { rsaRawDecrypt, rsaSignDigest } from './raw-rsa.ts';
import type { RawRsaReply, RawRsaTask } from './raw-rsa-thread.ts';

function perform({ key, hash, input }: RawRsaTask): Uint8Array | undefined {
  try {
    return hash === undefined ? rsaRawDecrypt(key, input) : rsaSignDigest(key, hash, input);
  } catch {
    return undefined;
  }
}

parentPort?.on('message', (task: RawRsaTask) => {
  const reply: RawRsaReply = { id: task.id, output: perform(task) };
  parentPort?.postMessage(reply);
});

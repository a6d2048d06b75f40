/**
 * Signatures in libuv's thread pool, some in one go: the way there and back costs as much as a tenth of an RSA
 * signature. No more threads are taken than there are cores, so that files and names have theirs.
 */
import { availableParallelism } from 'node:os';
import { addon, type RawDigestSigner } from './addon.ts';

interface Task {
  readonly signer: RawDigestSigner;
  readonly digest: Uint8Array;
  readonly resolve: (signature: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/** More in one go wins little, and the last one waits for all. */
const MOST_IN_ONE_GO = 8;
/** Of libuv's pool, where nobody has given it another size. */
const POOL_THREADS = 4;

const threads = Math.min(availableParallelism(), POOL_THREADS);
/** So many signatures keep all threads busy, with more at hand when they are done. */
export const POOL_DEPTH = threads * MOST_IN_ONE_GO * 2;

let waiting: Task[] = [];
let running = 0;

function failed(): Error {
  return new Error('OpenSSL does not sign this digest');
}

function settle(tasks: readonly Task[], signatures: readonly Buffer[]): void {
  running -= 1;
  tasks.forEach(({ resolve, reject }, index) => {
    const signature = signatures[index]!;
    if (signature.length > 0) resolve(signature);
    else reject(failed());
  });
  start();
}

/** What waits is shared among the threads that are free. */
function start(): void {
  while (running < threads && waiting.length > 0) {
    const share = Math.ceil(waiting.length / (threads - running));
    const tasks = waiting.slice(0, Math.min(MOST_IN_ONE_GO, share));
    waiting = waiting.slice(tasks.length);
    running += 1;
    const [signers, digests] = [tasks.map(({ signer }) => signer), tasks.map(({ digest }) => digest)];
    const queued = addon().signDigestsInPool(signers, digests, (signatures) => settle(tasks, signatures));
    if (queued) continue;
    running -= 1;
    for (const { reject } of tasks) reject(failed());
  }
}

/** Tasks of one turn of the loop go together. */
export function signInPool(signer: RawDigestSigner, digest: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    if (waiting.length === 0) setImmediate(start);
    waiting.push({ signer, digest, resolve, reject });
  });
}

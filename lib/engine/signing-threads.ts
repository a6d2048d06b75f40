/**
 * Signatures in the addon's own threads, some in one go: the way there and back costs as much as a tenth of an RSA
 * signature. One thread for each core, unless it is told otherwise; they start with the first signature.
 */
import { availableParallelism } from 'node:os';
import { KeylessError } from '../errors.ts';
import { addon, type RawDigestSigner } from './addon.ts';

interface Task {
  readonly signer: RawDigestSigner;
  readonly digest: Uint8Array;
  readonly resolve: (signature: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/** More in one go wins little, and the last one waits for all. */
const MOST_IN_ONE_GO = 8;
const MAX_THREADS = 256;

let threads = Math.min(availableParallelism(), MAX_THREADS);
let started = false;
let waiting: Task[] = [];
const running = new Map<number, readonly Task[]>();
let lastId = 0;

/**
 * How many threads sign, from the first signature on.
 *
 * @param count 1 to 256
 * @throws ERR_KEYLESS_INVALID_ARGUMENT for another number, or if they have started
 */
export function setSigningThreads(count: number): void {
  if (!Number.isInteger(count) || count < 1 || count > MAX_THREADS || started) {
    throw new KeylessError(
      'ERR_KEYLESS_INVALID_ARGUMENT',
      `1 to ${MAX_THREADS} threads sign, and their number is said before the first signature, not ${count}.`,
    );
  }
  threads = count;
}

/** So many signatures keep all threads busy, with more at hand when they are done. */
export function signingDepth(): number {
  return threads * MOST_IN_ONE_GO * 2;
}

function failed(): Error {
  return new Error('OpenSSL does not sign this digest');
}

function settle(id: number, signatures: readonly Buffer[]): void {
  const tasks = running.get(id)!;
  running.delete(id);
  tasks.forEach(({ resolve, reject }, index) => {
    const signature = signatures[index]!;
    if (signature.length > 0) resolve(signature);
    else reject(failed());
  });
}

function onSigned(): void {
  addon().takeSigned(settle);
  share();
  if (running.size === 0) addon().holdForSigning(false);
}

/** Where the system gives none, or fewer than asked for. */
function startThreads(): void {
  started = true;
  threads = addon().startSigning(threads, onSigned);
}

/** What waits is shared among the threads that are free. */
function share(): void {
  if (!started) startThreads();
  while (waiting.length > 0 && (running.size < threads || threads === 0)) {
    const count = Math.ceil(waiting.length / Math.max(1, threads - running.size));
    const tasks = waiting.slice(0, Math.min(MOST_IN_ONE_GO, count));
    waiting = waiting.slice(tasks.length);
    queue(tasks);
  }
}

function queue(tasks: readonly Task[]): void {
  const [signers, digests] = [tasks.map(({ signer }) => signer), tasks.map(({ digest }) => digest)];
  lastId = (lastId + 1) >>> 0;
  if (threads === 0 || !addon().queueDigests(lastId, signers, digests)) {
    for (const { reject } of tasks) reject(failed());
    return;
  }
  running.set(lastId, tasks);
  if (running.size === 1) addon().holdForSigning(true);
}

/** Tasks of one turn of the loop go together. */
export function signInThreads(signer: RawDigestSigner, digest: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    if (waiting.length === 0) setImmediate(share);
    waiting.push({ signer, digest, resolve, reject });
  });
}

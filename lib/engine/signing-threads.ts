/**
 * Signatures in the addon's own threads, some in one go: the way there and back costs as much as a tenth of an RSA
 * signature. One thread for each core, unless it is told otherwise; they start with the first signature.
 */
import { availableParallelism } from 'node:os';
import { isUint8Array } from 'node:util/types';
import { markAsUntransferable } from 'node:worker_threads';
import { Bag, type InBag, OUTSIDE } from '../bag.ts';
import { KeylessError } from '../errors.ts';
import { setImmediate } from '../timers.ts';
import { addon } from './addon.ts';
import type { RawDigestSigner } from './raw-signers.ts';

interface Task {
  readonly signer: RawDigestSigner;
  readonly digest: Uint8Array;
  /** Signs on this thread: where the system gives no other. */
  readonly here: () => Uint8Array;
  readonly resolve: (signature: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/** Tasks that a thread has begun. */
interface Go extends InBag {
  readonly id: number;
  readonly tasks: readonly Task[];
}

/** A go takes so much of a thread's time at most: the last signature waits for all. More of them in one wins little. */
const GO_MS = 8;
const MOST_IN_ONE_GO = 32;
const MAX_THREADS = 256;
/** Of RSA-2048; what it is here is learnt. */
const EXPECTED_MS = 0.3;
/** Of what was learnt, how much counts beside the last go. */
const MEMORY = 0.8;

let threads = Math.min(availableParallelism(), MAX_THREADS);
let started = false;
let waiting: Task[] = [];
const running = new Bag<Go>();
let lastId = 0;
let msPerSignature = EXPECTED_MS;

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

function mostInOneGo(): number {
  return Math.min(MOST_IN_ONE_GO, Math.max(1, Math.floor(GO_MS / msPerSignature)));
}

/** So many signatures keep all threads busy, with more at hand when they are done. It changes with the keys that sign. */
export function signingDepth(): number {
  return Math.max(1, threads) * Math.ceil(mostInOneGo() * 1.5);
}

function failed(): Error {
  return new Error('OpenSSL does not sign this digest');
}

function settle(id: number, signatures: Buffer, sizes: readonly number[], cpuMs: number): void {
  const go = running.find((each) => each.id === id)!;
  running.delete(go);
  const { tasks } = go;
  msPerSignature = MEMORY * msPerSignature + ((1 - MEMORY) * cpuMs) / tasks.length;
  // As Node's own pool: whoever transferred one signature would take the others with it.
  markAsUntransferable(signatures.buffer);
  let start = 0;
  tasks.forEach(({ resolve, reject }, index) => {
    const end = start + sizes[index]!;
    if (end > start) resolve(signatures.subarray(start, end));
    else reject(failed());
    start = end;
  });
}

function onSigned(): void {
  addon().takeSigned(settle);
  share();
  if (running.size === 0) addon().holdForSigning(false);
}

/** Where the system gives fewer than asked for, those do; where it gives none, this thread does, and everybody hears of it. */
function startThreads(): void {
  started = true;
  const wanted = threads;
  threads = addon().startSigning(wanted, onSigned);
  if (threads === wanted) return;
  const signs = threads === 0 ? 'the event loop signs, and everything waits for it' : `${threads} sign`;
  process.emitWarning(
    `The system starts ${threads} of ${wanted} signing threads: ${signs}. Raise its limit of threads (ulimit -u, TasksMax, ` +
      'pids.max) and start this process again.',
    { code: 'KEYLESS_TLS_SIGNING_THREADS' },
  );
}

/** What waits is shared among the threads that are free. */
function share(): void {
  if (!started) startThreads();
  if (threads === 0) {
    signHere();
    return;
  }
  while (waiting.length > 0 && running.size < threads) {
    const count = Math.ceil(waiting.length / (threads - running.size));
    const tasks = waiting.slice(0, Math.min(mostInOneGo(), count));
    waiting = waiting.slice(tasks.length);
    queue(tasks);
  }
}

/** One in each turn of the loop, so that what is short has its turn in between. */
function signHere(): void {
  const [task, ...rest] = waiting;
  waiting = rest;
  if (rest.length > 0) setImmediate(share);
  try {
    task?.resolve(task.here());
  } catch (error) {
    task?.reject(error as Error);
  }
}

function queue(tasks: readonly Task[]): void {
  const [signers, digests] = [tasks.map(({ signer }) => signer), tasks.map(({ digest }) => digest)];
  lastId = (lastId + 1) >>> 0;
  if (!addon().queueDigests(lastId, signers, digests)) {
    for (const { reject } of tasks) reject(failed());
    return;
  }
  running.add({ id: lastId, tasks, place: OUTSIDE });
  if (running.size === 1) addon().holdForSigning(true);
}

/**
 * Tasks of one turn of the loop go together.
 *
 * @param here signs the same on this thread, where the system gives no other
 */
export function signInThreads(
  signer: RawDigestSigner,
  digest: Uint8Array,
  here: () => Uint8Array,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    // The addon would throw it later, to nobody, and sign nothing of the whole go.
    if (!isUint8Array(digest)) throw new TypeError('What is to be signed must be a Uint8Array.');
    if (waiting.length === 0) setImmediate(share);
    waiting.push({ signer, digest, here, resolve, reject });
  });
}

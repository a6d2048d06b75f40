/**
 * Raw RSA off the event loop: node:crypto has it only synchronously, and 4096 bits take milliseconds.
 *
 * Where the addon is not, which has threads for it. One worker thread for the process, started at the first use. It keeps the process alive while somebody waits for an
 * answer, and not longer. If it dies, those who wait are told, and the next request starts another one.
 */
import type { KeyObject } from 'node:crypto';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { KeylessError } from '../errors.ts';
import type { HashName } from '../protocol/schemes.ts';

export interface RawRsaTask {
  readonly id: number;
  readonly key: KeyObject;
  /** `undefined`: decrypt; otherwise sign a digest of it by PKCS#1 v1.5. */
  readonly hash: HashName | undefined;
  readonly input: Uint8Array;
}

export interface RawRsaReply {
  readonly id: number;
  /** `undefined`: it failed. */
  readonly output: Uint8Array | undefined;
}

interface Waiter {
  resolve(output: Uint8Array): void;
  reject(error: Error): void;
}

/** Says what failed, not how: how is OpenSSL's business, and perhaps an attacker's. */
function failure(): Error {
  return new Error('The RSA operation failed.');
}

class RawRsaThread {
  #worker: Worker | undefined;
  readonly #waiting = new Map<number, Waiter>();
  #nextId = 1;

  run(key: KeyObject, hash: HashName | undefined, input: Uint8Array): Promise<Uint8Array> {
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      // A copy of the bytes alone: a view would take all of the chunk it came in along. It throws where they were given away.
      const task: RawRsaTask = { id, key, hash, input: Uint8Array.from(input) };
      this.#waiting.set(id, { resolve, reject });
      const worker = this.#thread();
      worker.ref();
      worker.postMessage(task);
    });
  }

  #thread(): Worker {
    this.#worker ??= this.#start();
    return this.#worker;
  }

  #start(): Worker {
    // Of the sources, or of what the compiler makes of them.
    const extension = extname(import.meta.url);
    // Without what the process was started with: a preloaded module has no business beside the keys.
    const worker = new Worker(new URL(`./raw-rsa-worker${extension}`, import.meta.url), {
      execArgv: [],
      env: {},
    });
    worker.on('message', ({ id, output }: RawRsaReply) => {
      const waiter = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) worker.unref();
      if (output === undefined) waiter?.reject(failure());
      else waiter?.resolve(output);
    });
    worker.on('error', () => this.#onGone(worker));
    worker.on('exit', () => this.#onGone(worker));
    return worker;
  }

  #onGone(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    const gone = new KeylessError('ERR_KEYLESS_KEY_STORE', 'The thread of the RSA operations has ended.');
    for (const waiter of waiting) waiter.reject(gone);
  }
}

const thread = new RawRsaThread();

/** As rsaRawDecrypt, off this thread. @returns a promise that rejects, without the reason, where it fails; with ERR_KEYLESS_KEY_STORE if the thread does */
export function rsaRawDecryptInThread(key: KeyObject, ciphertext: Uint8Array): Promise<Uint8Array> {
  return thread.run(key, undefined, ciphertext);
}

/** As rsaSignDigest, off this thread. @returns a promise that rejects, without the reason, where it fails */
export function rsaSignDigestInThread(
  key: KeyObject,
  hash: HashName,
  digest: Uint8Array,
): Promise<Uint8Array> {
  return thread.run(key, hash, digest);
}

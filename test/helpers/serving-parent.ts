/** The side of serving.ts that starts it: on a thread, or in a process of a cluster. */
import cluster, { type Worker as ClusterWorker } from 'node:cluster';
import { EventEmitter, once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { localKey } from '../../lib/index.ts';
import type { SignOperation } from '../../lib/keys/private-key.ts';
import type { Issued } from './certificates.ts';
import type { Answered, Answers, Face, Said, ServingPlan } from './serving.ts';

const PROGRAM = new URL('./serving.js', import.meta.url);

/** What a server is made of; without `answers` Node's own TLS, `face` is tls. */
export interface ServingOptions {
  readonly issued: Issued;
  readonly answers?: Answers;
  readonly face?: Face;
  readonly clientCa?: string;
}

/** Not imported from serving.ts, which is a program. */
const PLAN_VARIABLE = 'KEYLESS_TLS_TEST_PLAN';

function environment({ issued, answers = 'native', face = 'tls', clientCa }: ServingOptions) {
  const keyPem = answers === 'parent' ? undefined : issued.keyPem;
  const plan: ServingPlan = { answers, face, certPem: issued.certPem, keyPem, clientCa };
  return { [PLAN_VARIABLE]: JSON.stringify(plan) };
}

/** A server elsewhere. Emits `asked` for each private-key operation. */
export class Serving extends EventEmitter {
  port = 0;
  operations = 0;
  #held: Promise<void> | undefined;
  readonly #options: ServingOptions;
  readonly #answer: (answer: Answered) => void;

  constructor(options: ServingOptions, from: EventEmitter, answer: (answer: Answered) => void) {
    super();
    this.#options = options;
    this.#answer = answer;
    from.on('message', (said: Said) => this.#hear(said));
  }

  /** From now on operations are not answered by the parent, until {@link release}. */
  hold(): void {
    this.#held = new Promise((resolve) => {
      this.release = resolve;
    });
  }
  release = (): void => {};

  async #hear(said: Said): Promise<void> {
    if ('listening' in said) {
      this.port = said.listening;
      this.emit('listening');
      return;
    }
    this.operations += 1;
    this.emit('asked');
    if (this.#options.answers !== 'parent') return;
    await this.#held;
    const operation = { ...said, message: Buffer.from(said.message) } as unknown as SignOperation;
    const signature = await localKey(this.#options.issued.keyPem).sign(operation);
    this.#answer({ asked: said.asked, signature });
  }
}

/** A server on a thread of this process. */
export interface Thread {
  readonly worker: Worker;
  readonly serving: Serving;
}

/** @returns when it listens */
export async function serveOnThread(options: ServingOptions): Promise<Thread> {
  const worker = new Worker(PROGRAM, { env: { ...process.env, ...environment(options) } });
  const serving = new Serving(options, worker, (answer) => worker.postMessage(answer));
  await once(serving, 'listening');
  return { worker, serving };
}

/** A server in a process of the cluster whose primary is this one. */
export interface Member {
  readonly worker: ClusterWorker;
  readonly serving: Serving;
}

/** Members share one port. @returns when it listens */
export async function serveInCluster(options: ServingOptions): Promise<Member> {
  // Buffers pass as what they are.
  cluster.setupPrimary({ exec: fileURLToPath(PROGRAM), serialization: 'advanced' });
  const worker = cluster.fork(environment(options));
  const serving = new Serving(options, worker, (answer) => worker.send(answer));
  await once(serving, 'listening');
  return { worker, serving };
}

/** Ends a member at once, if it still lives. @returns when it has gone */
export async function kill({ worker }: Member): Promise<void> {
  if (worker.isDead()) return;
  const gone = once(worker, 'exit');
  worker.process.kill('SIGKILL');
  await gone;
}

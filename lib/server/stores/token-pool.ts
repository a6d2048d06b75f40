/**
 * The processes that talk to a token, and the tasks that wait for one of them.
 *
 * A task has its time, from the asking to the answer, waiting included. A process that does not answer in it is killed and
 * replaced. Processes are started when there is work, one at a time: a PIN that the token does not take is tried once.
 */
import type { Alarm, Clock } from '../../clock.ts';
import { KeylessError } from '../../errors.ts';
import { TokenProcess } from './token-process.ts';
import { type OpenTask, TokenError, type TokenResult, type TokenTask } from './token-tasks.ts';

export interface TokenPoolOptions {
  /** Asked before each start, for a PIN may change. @throws Error with what is wrong with it */
  readonly open: () => OpenTask;
  /** Processes at once. */
  readonly size: number;
  /** Milliseconds that a task may take. */
  readonly timeoutMs: number;
  /** Milliseconds that loading, finding and logging in may take. */
  readonly startTimeoutMs: number;
  /** Tasks that may wait for a process. */
  readonly maxWaiting: number;
  readonly clock: Clock;
}

interface Job {
  readonly task: TokenTask;
  resolve(result: TokenResult): void;
  reject(error: KeylessError): void;
  alarm: Alarm;
  /** A process may turn out to be worth nothing any more (the token was exchanged): that is found out once. */
  retried: boolean;
}

/** After a start that failed, the next one is not tried at once: each costs a process. */
const RESTART_MS = 1000;

function storeError(message: string): KeylessError {
  return new KeylessError('ERR_KEYLESS_KEY_STORE', `${message}.`);
}

/** Not of the store: whether the token liked a ciphertext is nothing that a peer may learn from another error. */
function inputError(message: string): KeylessError {
  return new KeylessError('ERR_KEYLESS_OPERATION_FAILED', `${message}.`);
}

export class TokenPool {
  readonly #options: TokenPoolOptions;
  readonly #idle: TokenProcess[] = [];
  readonly #busy = new Map<TokenProcess, Job>();
  readonly #waiting: Job[] = [];
  #starting: TokenProcess | undefined;
  /** Why no process is started now. */
  #blocked: { readonly message: string; readonly until: number } | undefined;
  #forgiven = 0;
  #closed = false;

  constructor(options: TokenPoolOptions) {
    this.#options = options;
  }

  /** @throws (rejects) ERR_KEYLESS_KEY_STORE; ERR_KEYLESS_OPERATION_FAILED where it may be the ciphertext */
  run(task: TokenTask): Promise<TokenResult> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(storeError(refusal));
    return new Promise((resolve, reject) => {
      const { clock, timeoutMs } = this.#options;
      // Nobody's handshake waits for a list, and the first one waits for the start.
      const waitMs = task.kind === 'list' ? timeoutMs + this.#options.startTimeoutMs : timeoutMs;
      const alarm = clock.after(waitMs, () => this.#giveUp(job, waitMs));
      const job: Job = { task, resolve, reject, retried: false, alarm };
      this.#waiting.push(job);
      this.#next();
    });
  }

  /** The next start is tried at once, also with a PIN that was not accepted: somebody says so. */
  forgive(): void {
    this.#blocked = undefined;
    this.#forgiven += 1;
  }

  close(): void {
    this.#closed = true;
    this.#starting?.kill();
    this.#starting = undefined;
    for (const process of this.#idle.splice(0)) process.kill();
    for (const [process, job] of [...this.#busy]) {
      this.#discard(process);
      this.#fail(job, 'The token was closed');
    }
    this.#failWaiting('The token was closed');
  }

  get #live(): number {
    return this.#idle.length + this.#busy.size;
  }

  #isBlocked(): boolean {
    return this.#blocked !== undefined && this.#options.clock.now() < this.#blocked.until;
  }

  #refusal(): string | undefined {
    if (this.#closed) return 'The token was closed';
    if (this.#live === 0 && this.#isBlocked()) return this.#blocked!.message;
    const { length } = this.#waiting;
    if (length < this.#options.maxWaiting) return undefined;
    return `The token does not keep up: ${length} operations wait already`;
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#idle.length > 0) {
      this.#assign(this.#idle.pop()!, this.#waiting.shift()!);
    }
    if (this.#live === 0 && this.#isBlocked()) this.#failWaiting(this.#blocked!.message);
    const room = this.#starting === undefined && this.#live < this.#options.size;
    if (this.#waiting.length > 0 && room && !this.#closed && !this.#isBlocked()) this.#start();
  }

  #start(): void {
    const forgiven = this.#forgiven;
    let task: OpenTask;
    try {
      task = this.#options.open();
    } catch (error) {
      this.#onStartFailed(error as Error, RESTART_MS);
      return;
    }
    const { clock, startTimeoutMs } = this.#options;
    const process = new TokenProcess((gone) => this.#forget(gone));
    this.#starting = process;
    let late = false;
    const alarm = clock.after(startTimeoutMs, () => {
      late = true;
      process.kill();
    });
    process.ask(task).then(
      () => {
        alarm.cancel();
        if (this.#starting !== process) return;
        this.#starting = undefined;
        this.#idle.push(process);
        this.#next();
      },
      (error: TokenError) => {
        alarm.cancel();
        process.kill();
        if (this.#starting !== process) return;
        this.#starting = undefined;
        // What was wrong with it may have been put right since it began.
        if (forgiven !== this.#forgiven) {
          this.#next();
          return;
        }
        const slow = new TokenError('setup', `The token was not open within ${startTimeoutMs} ms`);
        this.#onStartFailed(
          late ? slow : error,
          error.reason === 'pin' ? Number.POSITIVE_INFINITY : RESTART_MS,
        );
      },
    );
  }

  #onStartFailed({ message }: Error, waitMs: number): void {
    const again = waitMs === RESTART_MS ? '' : ', and is not tried again before the keys are loaded anew';
    this.#blocked = { message: message + again, until: this.#options.clock.now() + waitMs };
    if (this.#live === 0) this.#failWaiting(this.#blocked.message);
  }

  #assign(process: TokenProcess, job: Job): void {
    this.#busy.set(process, job);
    process.ask(job.task).then(
      (result) => {
        if (this.#busy.get(process) !== job) return;
        process.proven = true;
        this.#release(process);
        job.alarm.cancel();
        job.resolve(result);
        this.#next();
      },
      (error: TokenError) => {
        if (this.#busy.get(process) === job) this.#onFailure(process, job, error);
      },
    );
  }

  #onFailure(process: TokenProcess, job: Job, { reason, message }: TokenError): void {
    if (reason === 'refused' || reason === 'input') {
      this.#release(process);
      job.alarm.cancel();
      job.reject(reason === 'input' ? inputError(message) : storeError(message));
    } else {
      this.#discard(process);
      if (process.proven && !job.retried) {
        job.retried = true;
        this.#waiting.unshift(job);
      } else this.#fail(job, message);
    }
    this.#next();
  }

  #release(process: TokenProcess): void {
    this.#busy.delete(process);
    this.#idle.push(process);
  }

  /** It ended by itself. One that was busy has also failed its job, which says what becomes of that. */
  #forget(process: TokenProcess): void {
    const at = this.#idle.indexOf(process);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  #discard(process: TokenProcess): void {
    this.#busy.delete(process);
    process.kill();
  }

  #giveUp(job: Job, waitMs: number): void {
    const process = [...this.#busy].find(([, busyWith]) => busyWith === job)?.[0];
    if (process !== undefined) this.#discard(process);
    const at = this.#waiting.indexOf(job);
    if (at >= 0) this.#waiting.splice(at, 1);
    this.#fail(job, `The token did not answer within ${waitMs} ms`);
    this.#next();
  }

  #fail(job: Job, message: string): void {
    job.alarm.cancel();
    job.reject(storeError(message));
  }

  #failWaiting(message: string): void {
    for (const job of this.#waiting.splice(0)) this.#fail(job, message);
  }
}

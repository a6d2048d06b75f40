/** `keyless-tls proxy --workers`: a process for each core, which share the port, the ticket keys and a page of metrics. */
import cluster, { type Worker } from 'node:cluster';
import { randomBytes } from 'node:crypto';
import { endingSignal } from './command.ts';
import type { Print } from './event-lines.ts';

/** A worker that ends by itself is replaced, and not faster than this. */
const RESTART_MS = 1000;
const TICKET_KEYS_BYTES = 48;
/** As long as the tickets of one key are of use at all: RFC 8446 §4.6.1 allows a week, forward secrecy wants less. */
const ROTATION_MS = 3_600_000;

/** For a worker to end, beyond what it gives to what is under way: one that stands still never would. */
const END_MS = 5000;

const ENDING = ['SIGINT', 'SIGTERM'] as const;

/** From the first process to each worker: never in an argument or the environment. */
interface TicketKeysMessage {
  readonly ticketKeys: string;
}

/** What a worker asks for when it can take it: messages that come before anybody listens are lost. */
const WANT_TICKET_KEYS = 'keyless-tls:ticket-keys';

/** What a worker says when no ticket of before is to be taken any more, by any of them. */
const END_TICKET_KEYS = 'keyless-tls:end-ticket-keys';

/** In a worker: all get other ticket keys. Each asks for itself: until it does, it may issue tickets that are to end. */
export function endTicketKeys(): void {
  if (process.connected) process.send?.(END_TICKET_KEYS);
}

/** In a worker: resolves when it has the ticket keys; they come again whenever they change. */
export function takeTicketKeys(take: (keys: Buffer) => void): Promise<void> {
  return new Promise((resolve) => {
    process.on('message', (message: Partial<TicketKeysMessage>) => {
      if (typeof message?.ticketKeys !== 'string') return;
      take(Buffer.from(message.ticketKeys, 'base64'));
      resolve();
    });
    process.send?.(WANT_TICKET_KEYS);
  });
}

/**
 * In a worker: resolves at the first signal that asks it to end. What is sent to the whole group (a terminal's Ctrl-C, systemd's stop)
 * comes twice, from there and from the first process, in either order: no further one ends it. The first process ends at a
 * second one, and its workers with it: node:cluster lets none stay behind.
 */
export function workerEnding(): Promise<NodeJS.Signals> {
  return endingSignal(ENDING, new AbortController().signal);
}

class Workers {
  readonly #print: Print;
  readonly #workers = new Set<Worker>();
  readonly #drainMs: number;
  #lastResort: NodeJS.Timeout | undefined;
  #keys = randomBytes(TICKET_KEYS_BYTES);
  #ending = false;
  #firstExit: number | undefined;
  /** Whether one of them has ever served. */
  #served = false;
  readonly #rotation = setInterval(() => this.#rotate(), ROTATION_MS).unref();
  readonly ended: Promise<number>;
  #settle: (code: number) => void = () => undefined;

  constructor(count: number, drainMs: number, print: Print) {
    this.#drainMs = drainMs;
    this.#print = print;
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    for (let index = 0; index < count; index += 1) this.#start();
  }

  signal(name: NodeJS.Signals): void {
    if (name !== 'SIGHUP') {
      this.#ending = true;
      clearInterval(this.#rotation);
      this.#lastResort ??= setTimeout(() => this.#signalAll('SIGKILL'), this.#drainMs + END_MS);
    }
    this.#signalAll(name);
    this.#endIfAllHave();
  }

  #signalAll(name: NodeJS.Signals): void {
    for (const worker of this.#workers) worker.process.kill(name);
  }

  #start(): void {
    const worker = cluster.fork();
    this.#workers.add(worker);
    let served = false;
    worker.on('listening', () => {
      this.#served = served = true;
    });
    worker.on('message', (message) => {
      if (message === WANT_TICKET_KEYS) this.#tellKeys(worker);
      if (message === END_TICKET_KEYS) this.#rotate();
    });
    worker.on('error', () => undefined);
    worker.on('exit', (code, signal) => {
      this.#workers.delete(worker);
      this.#gone(signal ?? code ?? 1, served);
    });
  }

  /** If none can even start (a port that is taken), all end; one that ends later is replaced. */
  #gone(how: number | string, served: boolean): void {
    if (!this.#ending && !this.#served && typeof how === 'number') {
      this.#firstExit = how;
      this.signal('SIGTERM');
    }
    // One that is told to end before it serves has nothing to lose.
    if (!this.#ending || (served && how !== 0))
      this.#print('worker-problem', { reason: typeof how === 'number' ? `exit ${how}` : how });
    if (!this.#ending) setTimeout(() => this.#ending || this.#start(), RESTART_MS);
    this.#endIfAllHave();
  }

  #endIfAllHave(): void {
    if (!this.#ending || this.#workers.size > 0) return;
    clearTimeout(this.#lastResort);
    this.#settle(this.#firstExit ?? 0);
  }

  #rotate(): void {
    this.#keys = randomBytes(TICKET_KEYS_BYTES);
    for (const worker of this.#workers) this.#tellKeys(worker);
  }

  #tellKeys(worker: Worker): void {
    const message: TicketKeysMessage = { ticketKeys: this.#keys.toString('base64') };
    if (worker.isConnected()) worker.send(message);
  }
}

export interface WorkersOptions {
  readonly count: number;
  /** Of each. */
  readonly args: readonly string[];
  /** What each gives to what is under way when it is told to end. */
  readonly drainMs: number;
}

/** Runs them until a signal ends them. @returns the exit code */
export async function runWorkers({ count, args, drainMs }: WorkersOptions, print: Print): Promise<number> {
  cluster.setupPrimary({ args: ['proxy', ...args] });
  const workers = new Workers(count, drainMs, print);
  process.on('SIGHUP', () => workers.signal('SIGHUP'));
  void endingSignal(ENDING).then((signal) => workers.signal(signal));
  return workers.ended;
}

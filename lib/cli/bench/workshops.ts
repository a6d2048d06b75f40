/** One workshop after the other: where something of one has ended, or stands still, the next questions have another. */
import type { Scale } from './scale.ts';
import { Workshop } from './workshop.ts';

/** Owner: the command; `end()` leaves no process and no file. States: open (with a workshop, or between two) -> over. */
export class Workshops {
  readonly #scale: Scale;
  readonly #say: ((what: string) => void) | undefined;
  #opening: Promise<Workshop> | undefined;
  #closed = Promise.resolve();
  #last: Workshop | undefined;
  readonly #over = new AbortController();

  /** @param say is told what happens now, in a few words */
  constructor(scale: Scale, say?: (what: string) => void) {
    this.#scale = scale;
    this.#say = say;
  }

  /** The one that is open, opened if there is none. @throws (rejects) KeylessError if its key server does not start */
  current(): Promise<Workshop> {
    this.#opening ??= this.#closed.then(() => this.#open());
    return this.#opening;
  }

  /** Of the last one: which process has, or had, which core, in words. */
  get placement(): string {
    return this.#last?.placement ?? '';
  }

  /** Ends the one that is open, with all its processes: who asks for one next is given another. */
  discard(): Promise<void> {
    const [before, opening] = [this.#closed, this.#opening];
    this.#opening = undefined;
    const close = async () => (await opening?.catch(() => undefined))?.close();
    this.#closed = before.finally(close);
    this.#closed.catch(() => undefined);
    return this.#closed;
  }

  /** What is being opened ends as well, also where it stands still. */
  end(): Promise<void> {
    this.#over.abort();
    return this.discard();
  }

  /** Work that goes on after the end, until its process ends, makes nothing any more. */
  async #open(): Promise<Workshop> {
    if (this.#over.signal.aborted) throw new Error('The benchmark is over.');
    this.#last = await Workshop.open(this.#scale, this.#say, this.#over.signal);
    return this.#last;
  }
}

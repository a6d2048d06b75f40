/** What is measured now, and for how long yet: on a terminal one line that changes, elsewhere one line for each question. */
export interface ProgressOutput {
  readonly isTTY?: boolean | undefined;
  /** Of a terminal, at this moment. */
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

const CLEAR_LINE = '\r\u001b[K';

export class Progress {
  readonly #output: ProgressOutput;
  readonly #questions: readonly { readonly title: string; readonly seconds: number }[];
  readonly #now: () => number;
  readonly #startedAt: number;
  #index = 0;
  #begun = false;

  /** @param questions in their order, with how long each is expected to take; @param now milliseconds */
  constructor(
    output: ProgressOutput,
    questions: readonly { readonly title: string; readonly seconds: number }[],
    now: () => number = () => performance.now(),
  ) {
    this.#output = output;
    this.#questions = questions;
    this.#now = now;
    this.#startedAt = now();
  }

  /** The next question begins. */
  next(): void {
    if (this.#begun) this.#index += 1;
    this.#begun = true;
    this.#print();
    if (this.#output.isTTY !== true) this.#output.write('\n');
  }

  /** Within a question; told on terminals only. */
  say(what: string): void {
    if (this.#output.isTTY === true) this.#print(`: ${what}`);
  }

  end(): void {
    if (this.#output.isTTY === true) this.#output.write(CLEAR_LINE);
  }

  #print(what = ''): void {
    const title = this.#questions[this.#index]?.title ?? 'Starting';
    const line = `${this.#index + 1} of ${this.#questions.length}, ${this.#left()}: ${title}${what}`;
    this.#output.write(this.#output.isTTY === true ? `${CLEAR_LINE}${this.#fitted(line)}` : line);
  }

  /** Only the last row of a line that is wrapped could be cleared. */
  #fitted(line: string): string {
    const { columns = 0 } = this.#output;
    return columns < 1 || line.length < columns ? line : `${line.slice(0, Math.max(0, columns - 2))}…`;
  }

  /** What was expected of the rest, corrected by how long that took which is done. */
  #left(): string {
    const sum = (questions: readonly { readonly seconds: number }[]) =>
      questions.reduce((total, { seconds }) => total + seconds, 0);
    const done = sum(this.#questions.slice(0, this.#index));
    const slower = done === 0 ? 1 : (this.#now() - this.#startedAt) / 1000 / done;
    const left = sum(this.#questions.slice(this.#index)) * slower;
    return left >= 90 ? `about ${Math.round(left / 60)} min left` : `about ${Math.ceil(left / 5) * 5} s left`;
  }
}

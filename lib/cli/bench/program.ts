/** Another program that is measured, or measures: it ends with the benchmark. */
import { type ChildProcess, execFile } from 'node:child_process';
import { watchStandstill } from '../standstill.ts';
import { onCoresOf, type Role } from './cores.ts';
import { environmentForChildren } from './environment.ts';

/** Owner: whoever made it; `end()` ends it. */
export class Program {
  readonly role: Role;
  readonly isPinned = true;
  /** What it printed; `undefined`: there is no such command, or it failed. */
  readonly output: Promise<string | undefined>;
  readonly #child: ChildProcess;

  /** @param lengthMs that it takes; where it stands still, it is ended */
  constructor(role: Role, command: string, args: readonly string[], lengthMs: number) {
    this.role = role;
    const [program, values] = onCoresOf(role, command, args);
    let answer: (text: string | undefined) => void = () => undefined;
    this.output = new Promise((resolve) => (answer = resolve));
    const over = watchStandstill(lengthMs, () => this.end());
    this.#child = execFile(program, [...values], { env: environmentForChildren() }, (error, stdout) => {
      over();
      answer(error === null ? stdout : undefined);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Another program that is measured, or measures: it ends with the benchmark. */
import { type ChildProcess, execFile } from 'node:child_process';
import { onCoresOf, type Role } from './cores.ts';
import { environmentForChildren } from './environment.ts';

/** Owner: whoever made it; `end()` ends it. */
export class Program {
  readonly role: Role;
  readonly isPinned = true;
  /** What it printed; `undefined`: there is no such command, or it failed. */
  readonly output: Promise<string | undefined>;
  readonly #child: ChildProcess;

  constructor(role: Role, command: string, args: readonly string[], timeout: number) {
    this.role = role;
    const [program, values] = onCoresOf(role, command, args);
    let answer: (text: string | undefined) => void = () => undefined;
    this.output = new Promise((resolve) => (answer = resolve));
    const options = { timeout, killSignal: 'SIGKILL', env: environmentForChildren() } as const;
    this.#child = execFile(program, [...values], options, (error, stdout) =>
      answer(error === null ? stdout : undefined),
    );
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}

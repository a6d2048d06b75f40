/**
 * The processes that a script of this folder starts itself, without a workshop. One that ends before it is told to ends the work,
 * with a reason: nobody waits for what it would have said. None is left when the work is over.
 */
import type { ChildProcess } from 'node:child_process';
import { orTheirEnd } from '../lib/cli/bench/reason.ts';

/** Those that are to go on, and when each is over. */
const running = new Map<ChildProcess, Promise<void>>();
let isOver = false;
let tell: (error: Error) => void;
/** Rejects when one has ended that was to go on. */
const broken = new Promise<never>((_, reject) => {
  tell = reject;
});
broken.catch(() => undefined);

/** @param over is told how it ended: with what it printed, if it did, and that it never began */
function onEnd(child: ChildProcess, over: (how: string) => void): void {
  // Of one that runs, an error is of a message that did not reach it: its end says why.
  child.on('error', ({ message }) => child.pid === undefined && over(message));
  child.once('close', (code, signal) => over(signal ?? `exit code ${code}`));
}

/**
 * @param what it is, for whoever is told of its end; @param said what it printed for people, where nobody sees that
 */
export function owned(child: ChildProcess, what: string, said = () => ''): void {
  const over = new Promise<void>((resolve) =>
    onEnd(child, (how) => {
      const words = said().trim();
      if (running.delete(child)) tell(new Error(`${what} has ended: ${how}${words && `: ${words}`}.`));
      resolve();
    }),
  );
  running.set(child, over);
  // Work goes on until its process ends, and starts nothing any more.
  if (isOver) child.kill('SIGKILL');
}

/** @throws (rejects) that one has ended that was to go on, or else what the work throws */
export function besideChildren(work: Promise<void>): Promise<void> {
  return Promise.race([orTheirEnd(work, broken), broken]);
}

/** Ends one, and waits for that. */
export async function end(child: ChildProcess): Promise<void> {
  const over = running.get(child);
  // From here on its end is no news.
  running.delete(child);
  child.kill('SIGKILL');
  await over;
}

/** Ends all of them, and whatever is started later. */
export async function endAll(): Promise<void> {
  isOver = true;
  await Promise.all([...running.keys()].map(end));
}

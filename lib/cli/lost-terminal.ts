/** A process that outlives its terminal. */
import { closeSync } from 'node:fs';
import { isatty } from 'node:tty';

const STANDARD_STREAMS = [0, 1, 2];

/**
 * At its end Node.js sets terminals to what they were at its start, and Node.js 20 aborts where one has gone (SIGABRT, and a core file with
 * all that is in memory): such a terminal is closed before.
 */
export function outliveTerminal(): void {
  const terminals = STANDARD_STREAMS.filter((stream) => isatty(stream));
  process.on('exit', () => {
    for (const stream of terminals) if (!isatty(stream)) closeSync(stream);
  });
}

/** How every script of this folder begins and ends: words it does not know, signals, reasons instead of stacks. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { unlessInterrupted } from '../lib/cli/bench/session.ts';
import type { Site } from '../lib/cli/bench/sites.ts';
import { UsageError } from '../lib/cli/command.ts';
import { besideChildren, endAll } from './children.ts';

const [FAILED, CALLED_WRONGLY] = [1, 2];
const SITES: readonly Site[] = ['RSA-2048', 'RSA-3072', 'P-256', 'P-384', 'Ed25519'];

/** One word of the command line. @throws UsageError */
export type Word<T> = (text: string) => T;

/** Beyond that it is a slip. */
const MOST = 1_000_000;

/** @param what it is, for whoever gave something else */
export function wholeNumber(what: string, least = 1): Word<number> {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= MOST) return value;
    throw new UsageError(
      `${what}: a whole number from ${least} to ${MOST}; not ${JSON.stringify(text)}.`,
      '',
    );
  };
}

export const site: Word<Site> = (text) => {
  const found = SITES.find((each) => each === text);
  if (found !== undefined) return found;
  throw new UsageError(`A key is one of ${SITES.join(', ')}; not ${JSON.stringify(text)}.`, '');
};

/** @throws UsageError for options, and for words that are too many; @returns `undefined` for those that were not given */
export function wordsOf<Words extends readonly Word<unknown>[]>(
  ...words: Words
): { [Index in keyof Words]: ReturnType<Words[Index]> | undefined } {
  const given = positionals();
  if (given.length > words.length) {
    throw new UsageError(`${JSON.stringify(given[words.length])} is a word too many.`, '');
  }
  return words.map((read, index) =>
    given[index] === undefined ? undefined : read(given[index]),
  ) as unknown as { [Index in keyof Words]: ReturnType<Words[Index]> | undefined };
}

function positionals(): string[] {
  return usage(() => parseArgs({ allowPositionals: true }).positionals);
}

/** @throws UsageError instead of what node:util throws */
export function usage<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new UsageError((error as Error).message, '');
  }
}

function report(error: unknown, example: string): number {
  process.stderr.write(`${(error as Error).message}\n`);
  if (!(error instanceof UsageError)) return FAILED;
  process.stderr.write(`Try: ${example}\n`);
  return CALLED_WRONGLY;
}

/** What it prints is lost (a pipe that nobody reads any more, a full disk): the work is interrupted, as by whoever sends a signal. */
function endUnread({ message }: Error): void {
  process.stderr.write(`What was to be printed could not be written: ${message}\n`);
  process.exitCode = FAILED;
  // Without a listener nothing is under way that would have to end.
  process.emit('SIGTERM', 'SIGTERM');
}

/**
 * Ends the process where the work fails, and when it is interrupted: what it made is gone then, its own `finally` sees to that.
 *
 * @param example a command line that is right; @param work cleans up behind itself where it rejects
 */
export async function script(example: string, work: () => Promise<void>): Promise<void> {
  process.stdout.on('error', endUnread);
  process.stderr.on('error', () => undefined);
  try {
    await work();
  } catch (error) {
    // What was being measured may hold the process.
    process.exit(report(error, example));
  }
}

/**
 * For scripts without a workshop. All temporary files of the work, and of its children, are in a folder of its own, which is
 * removed however it ends, when its children (children.ts) have ended.
 *
 * @throws (rejects) what the work throws, and that one of these has ended that was to go on
 */
export async function cleaningUp(work: (folder: string) => Promise<void>): Promise<void> {
  let folder: string | undefined;
  await unlessInterrupted(
    // Nothing is made before signals are heard.
    () => {
      folder = mkdtempSync(join(tmpdir(), 'keyless-tls-bench-'));
      process.env.TMPDIR = folder;
      return besideChildren(work(folder));
    },
    async () => {
      await endAll();
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  );
}

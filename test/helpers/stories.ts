/** Programs of this folder that tell what happened in a process of their own, as JSON: `node program.js native|sync|delayed`. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What a program told, by name. */
type Stories = Record<string, unknown>;

async function told(program: string, mode: string): Promise<Stories> {
  const path = fileURLToPath(new URL(`./${program}.js`, import.meta.url));
  const { stdout } = await run(process.execPath, [path, mode], { timeout: 300_000 });
  return JSON.parse(stdout) as Stories;
}

/**
 * One mode after the other, and all of them before the first test is there: the runner takes the last one that it knows for the
 * last one of a file that waits for something between its tests.
 */
export async function stories(program: string): Promise<Record<'native' | 'sync' | 'delayed', Stories>> {
  const native = await told(program, 'native');
  const sync = await told(program, 'sync');
  return { native, sync, delayed: await told(program, 'delayed') };
}

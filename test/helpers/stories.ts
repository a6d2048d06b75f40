/** Programs of this folder that tell what happened in a process of their own, as JSON: `node program.js native|sync|delayed`. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** @returns by name */
export async function stories(program: string, mode: string): Promise<Record<string, unknown>> {
  const path = fileURLToPath(new URL(`./${program}.js`, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [path, mode], { timeout: 300_000 });
  return JSON.parse(stdout) as Record<string, unknown>;
}

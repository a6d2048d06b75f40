/**
 * Runs commands for the scripts beside it. A signal that ends the script ends the command with all its children first
 * and then rejects, so that a `finally` of the script cleans up: synchronous calls would die in the middle.
 */
import { spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:os';

/** The script was told to end; `exitCode` is the shell's 128 + n. */
class Interrupted extends Error {
  constructor(signal) {
    super(`Ended by ${signal}.`);
    this.exitCode = 128 + constants.signals[signal];
  }
}

let interruption;
let endCommand = () => {};
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interruption ??= new Interrupted(signal);
    endCommand(signal);
  });
}

/**
 * Runs a command to its end; what it says is seen unless `options.stdio` says otherwise.
 *
 * @returns whether it ended with 0
 * @throws Interrupted; an Error with a sentence when there is no such command
 */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    if (interruption !== undefined) throw interruption;
    // A process group of its own: the signal then reaches the children of children too.
    const child = spawn(command, args, { stdio: 'inherit', ...options, detached: true });
    endCommand = (signal) => {
      try {
        process.kill(-child.pid, signal);
      } catch {
        // It has ended meanwhile.
      }
    };
    child.on('error', (cause) => reject(new Error(`${command} cannot be run: ${cause.message}`, { cause })));
    child.on('exit', (status) => {
      endCommand = () => {};
      if (interruption === undefined) resolve(status === 0);
      else reject(interruption);
    });
  });
}

/** @throws Error that names the tool and what it is for, when it is not there */
export function need(tool, purpose) {
  const { error } = spawnSync(tool, ['--version'], { stdio: 'ignore' });
  if (error !== undefined) throw new Error(`"${tool}" is not installed; ${purpose}.`);
}

/** Runs a script's work and ends the process: 0 for `true`, else 1, with the error's sentence and no stack. */
export async function main(work) {
  try {
    process.exitCode = (await work()) ? 0 : 1;
  } catch (error) {
    console.error(error.message);
    process.exitCode = error.exitCode ?? 1;
  }
}

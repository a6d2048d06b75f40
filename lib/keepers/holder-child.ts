/** Starting the processes that hold keys; it loads nothing, so that they may be started before anything else is. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { KeylessError } from '../errors.ts';
import { inheritedDescriptors } from './descriptors.ts';
import { libraryPaths } from './library-paths.ts';

/** The descriptor of the socket pair in such a process. */
export const CHANNEL_FD = 3;

/** The first argument of such a process: to end where it cannot give up what it does not need, or not to. */
export const REQUIRE_HARDENING = 'require';
const TRY_HARDENING = 'try';
let hardening = TRY_HARDENING;

/** How it ends then (EX_CONFIG of sysexits.h). */
export const EXIT_EXPOSED = 78;

/** How it ends when Node's debugger was opened in it: whoever is connected there is to see no key. */
export const EXIT_DEBUGGED = 79;

/** For all processes that are started from now on. */
export function requireHardening(): void {
  hardening = REQUIRE_HARDENING;
}

/** How many processes hold each key. */
export const HOLDERS = 2;

/** What an app makes of the variable later is no Node.js, perhaps. */
const NODE = process.execPath;

/** What this one was started with; the app may set others for programs of its own. */
const LIBRARY_PATHS = libraryPaths();

/** One file with all it needs (scripts/bundle.mjs): it starts in two thirds of the time. */
const MAIN = fileURLToPath(new URL('./key-process-main.cjs', import.meta.url));

/** Of a process that could not be started: it is said to whoever makes the context, as what is wrong with a key is. */
function notStarted(cause?: unknown): KeylessError {
  const denied = (cause as NodeJS.ErrnoException | undefined)?.code === 'ERR_ACCESS_DENIED';
  return new KeylessError(
    'ERR_KEYLESS_PLATFORM',
    denied
      ? "The process that is to hold the keys may not be started: give Node.js's permission model --allow-child-process."
      : 'The process that is to hold the keys cannot be started: too many open files or processes, or too little memory.',
    { cause },
  );
}

/** No environment of the app's but where libraries are, and numbers as arguments: nothing to be seen in a process list, nothing to be configured. */
function start(inherited: readonly string[]): ChildProcess {
  let child: ChildProcess;
  try {
    child = spawn(NODE, ['--expose-gc', MAIN, hardening, ...inherited], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      env: LIBRARY_PATHS,
      cwd: '/',
      windowsHide: true,
      // A session of its own: what a terminal or a supervisor sends to the app's group, also while this one starts, is for the app.
      detached: true,
    });
  } catch (cause) {
    throw notStarted(cause);
  }
  // Without descriptors left there are no streams either, and the reason follows in an event (Node 20 to 26).
  if ((child.stdio as unknown) === undefined) {
    child.on('error', () => undefined);
    throw notStarted();
  }
  // Whether it is taken or not, it keeps no app alive.
  child.unref();
  (child.stdio[CHANNEL_FD] as Socket).unref();
  return child;
}

/** Processes that nobody has taken yet. */
const ahead: ChildProcess[] = [];

/** Whoever needs a process soon does not wait for its start then. What goes wrong is said when one is taken. */
export function startAhead(count: number): void {
  try {
    const inherited = inheritedDescriptors();
    while (ahead.length < count) ahead.push(start(inherited));
  } catch {
    // takeHolderChild() meets it again.
  }
}

/**
 * A process that has been started, perhaps not yet run; the caller listens to its events in this turn of the loop.
 *
 * @throws KeylessError ERR_KEYLESS_PLATFORM
 */
export function takeHolderChild(): ChildProcess {
  return ahead.shift() ?? start(inheritedDescriptors());
}

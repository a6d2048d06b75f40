/** Starting the processes that hold keys; it loads little, so that they may be started before anything else is. */
import { Socket } from 'node:net';
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ChildProgram, type ProgramEnd } from '../engine/child-program.ts';
import { KeylessError } from '../errors.ts';
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

/** One file with all it needs (scripts/bundle.mjs): it starts in two thirds of the time. In an app's bundle it may be nowhere. */
const MAIN = import.meta.url && fileURLToPath(new URL('./key-process-main.cjs', import.meta.url));

const HOW_BY_CODE: Readonly<Record<number, string>> = {
  [EXIT_EXPOSED]:
    'KEYLESS_TLS_HARDENING=require: this system does not let it give up all that it does not need',
  [EXIT_DEBUGGED]: 'a debugger was opened in it',
};

function describe({ code, signal }: ProgramEnd): string {
  return signal ?? HOW_BY_CODE[code ?? 0] ?? `exit code ${code}`;
}

/** What the system has too little of: it is worth another attempt. */
const WANTS: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM']);

function reasonOf({ code }: NodeJS.ErrnoException): string {
  if (WANTS.has(code)) return 'too many open files or processes, or too little memory';
  // Then it is named as it was started, perhaps by a word that a shell has looked up.
  if (!isAbsolute(NODE))
    return `without /proc, Node.js does not know where it is ("${NODE}"): start it by its whole path`;
  return `${code} of ${NODE}, or of /dev/null`;
}

/** Of a process that could not be started: it is said to whoever makes the context, as what is wrong with a key is. */
function notStarted(cause: unknown): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_PLATFORM',
    `The process that is to hold the keys cannot be started: ${reasonOf(cause as NodeJS.ErrnoException)}.`,
    { cause },
  );
}

function notAllowed(): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_PLATFORM',
    "The process that is to hold the keys may not be started: give Node.js's permission model --allow-child-process.",
  );
}

/** Node.js and an app in one file (node:sea): started once more, it would be the app, not a process for its keys. */
function isNoNode(): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_PLATFORM',
    `The process that is to hold the keys cannot be started: ${NODE} is a single executable application, which starts itself in the place of Node.js.`,
  );
}

function mayStart(): boolean {
  return process.permission?.has('child') ?? true;
}

/** A process that holds keys, and this end of what it is told through. */
export class HolderChild {
  readonly channel: Socket;
  readonly #program: ChildProgram;

  /** No environment of the app's but where libraries are: nothing to be seen in a process list, nothing to be configured. */
  constructor() {
    if (!mayStart()) throw notAllowed();
    if (process.getBuiltinModule('node:sea').isSea()) throw isNoNode();
    try {
      this.#program = new ChildProgram(NODE, ['--expose-gc', MAIN, hardening], LIBRARY_PATHS);
    } catch (cause) {
      throw cause instanceof KeylessError ? cause : notStarted(cause);
    }
    this.channel = new Socket({ fd: this.#program.channel, readable: true, writable: true });
    // Whether it is taken or not, it keeps no app alive.
    this.channel.unref();
  }

  /** @param onEnd told once, when it is gone. @param how for people */
  end(onEnd: (how: string) => void): void {
    this.channel.destroy();
    this.#program.end((how) => onEnd(describe(how)));
  }
}

/** Processes that nobody has taken yet. */
const ahead: HolderChild[] = [];

/** Whoever needs a process soon does not wait for its start then. What goes wrong is said when one is taken. */
export function startAhead(count: number): void {
  try {
    while (ahead.length < count) ahead.push(new HolderChild());
  } catch {
    // takeHolderChild() meets it again.
  }
}

/**
 * A process that has been started, perhaps not yet run; the caller listens to its events in this turn of the loop.
 *
 * @throws KeylessError ERR_KEYLESS_PLATFORM
 */
export function takeHolderChild(): HolderChild {
  return ahead.shift() ?? new HolderChild();
}

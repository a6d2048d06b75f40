/**
 * Threads that would not load this package as their process does. Node.js (20 to 26) has them inherit `--import`, but evaluates code
 * of `new Worker(code, { eval: true })` that is CommonJS without loading what it names; `--require` it loads. And it looks for what
 * both name from the working directory that the process has by then.
 */
import { syncBuiltinESMExports } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Worker, WorkerOptions } from 'node:worker_threads';
import { wordsOf } from './node-options.ts';
import { namePreloadsByFile } from './preloads.ts';

type Threads = { Worker: typeof Worker };

/** A line that must stay the first one, and a directive that must stay in front of all statements. */
const HEAD = /^(#!.*\n)?((?:\s|\/\/.*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*(["'])use strict\3)?/;

/** In the first line, so that all lines keep their numbers. An ES module has no `require`, and Node imports for it. */
function preloading(file: string, code: string): string {
  return code.replace(HEAD, (head, hashbang = '', directive = '') => {
    const strict = directive === '' ? '' : "'use strict';";
    return `${hashbang}${strict}globalThis.require?.(${JSON.stringify(file)});${head.slice(hashbang.length)}`;
  });
}

/** Or a file of options, which may name an `import`. */
const IMPORT = /^--(?:import|(?:experimental-)?(?:default-)?config-file)(?:=|$)/;

/** `--require` reaches all threads. */
function importsAhead(): boolean {
  const words = [...process.execArgv, ...wordsOf(process.env.NODE_OPTIONS ?? '')];
  return words.some((word) => IMPORT.test(word));
}

const NO_OPTION = '--no-such-option-of-node';

/** Options of the whole process, which threads have without, and may not be given: Node tells which, and starts no thread. */
function optionsOfProcess(original: typeof Worker, words: readonly string[]): Set<string> {
  try {
    new original('', { eval: true, execArgv: [...words, NO_OPTION] });
  } catch (error) {
    const [, listed = ''] = (error as Error).message.split('flags: ');
    return new Set(listed.split(', '));
  }
  return new Set();
}

/** What a thread may be given of `process.execArgv`. */
function threadArguments(original: typeof Worker): string[] {
  const ofProcess = optionsOfProcess(original, process.execArgv);
  let drops = false;
  return process.execArgv.filter((word) => {
    // Of an option that is dropped, its value is as well.
    drops = word.startsWith('-') ? ofProcess.has(word) : drops;
    return !drops;
  });
}

/** @param url of the module that threads have to load before their code */
export function preloadThreads(url: string): void {
  const directory = namePreloadsByFile(url) ? process.cwd() : undefined;
  const imports = importsAhead();
  // Node's class stays what it is where threads need nothing.
  if (!imports && directory === undefined) return;
  const file = fileURLToPath(url);
  const threads = process.getBuiltinModule('node:worker_threads') as Threads;
  threads.Worker = new Proxy(threads.Worker, {
    construct(original, [code, options, ...rest]: [unknown, WorkerOptions | undefined], target) {
      // With an `execArgv` of its own, a thread inherits nothing.
      const inherits = options?.execArgv === undefined;
      const evaluated = inherits && imports && typeof code === 'string' && options?.eval;
      const moved = inherits && directory !== undefined && process.cwd() !== directory;
      return Reflect.construct(
        original,
        [
          evaluated ? preloading(file, code) : code,
          moved ? { ...options, execArgv: threadArguments(original) } : options,
          ...rest,
        ],
        target,
      ) as Worker;
    },
  });
  Object.defineProperty(threads.Worker.prototype, 'constructor', { value: threads.Worker });
  syncBuiltinESMExports();
}

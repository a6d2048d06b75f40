/**
 * Threads of `new Worker(code, { eval: true })`. Node.js (20 to 26) has them inherit `--import` like all others, but evaluates
 * code that is CommonJS without loading what it names; `--require` it loads. So that code loads this package by itself first.
 */
import { syncBuiltinESMExports } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Worker, WorkerOptions } from 'node:worker_threads';

/** A line that must stay the first one, and a directive that must stay in front of all statements. */
const HEAD = /^(#!.*\n)?((?:\s|\/\/.*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*(["'])use strict\3)?/;

/** In the first line, so that all lines keep their numbers. An ES module has no `require`, and Node imports for it. */
function preloading(file: string, code: string): string {
  return code.replace(HEAD, (head, hashbang = '', directive = '') => {
    const strict = directive === '' ? '' : "'use strict';";
    return `${hashbang}${strict}globalThis.require?.(${JSON.stringify(file)});${head.slice(hashbang.length)}`;
  });
}

/** `--require` reaches all threads, and Node's class stays what it is. */
function importsAhead(): boolean {
  const words = [...process.execArgv, ...(process.env.NODE_OPTIONS ?? '').split(/[\s"]+/)];
  return words.some((word) => /^--import(?:=|$)/.test(word));
}

/** @param url of the module that threads have to load before their code */
export function preloadEvalWorkers(url: string): void {
  if (!importsAhead()) return;
  const file = fileURLToPath(url);
  const threads = process.getBuiltinModule('node:worker_threads') as { Worker: typeof Worker };
  threads.Worker = new Proxy(threads.Worker, {
    construct(original, [code, options, ...rest]: [unknown, WorkerOptions | undefined], target) {
      // With an `execArgv` of its own, a thread inherits nothing.
      const inherits = typeof code === 'string' && options?.eval && options.execArgv === undefined;
      return Reflect.construct(
        original,
        [inherits ? preloading(file, code) : code, options, ...rest],
        target,
      ) as Worker;
    },
  });
  Object.defineProperty(threads.Worker.prototype, 'constructor', { value: threads.Worker });
  syncBuiltinESMExports();
}

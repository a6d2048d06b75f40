/**
 * `--import keyless-tls/register` and its like, for whoever inherits them. Node.js (20 to 26) looks for such a name from the
 * working directory of each process and thread; those that start in another directory would not find it.
 */
import { createRequire } from 'node:module';
import { isAbsolute, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { nodeOptionsOf, wordsOf } from './node-options.ts';

const PRELOAD = /^(--import|--require|-r)(?:=(.*))?$/s;
const SCHEME = /^[a-z][a-z\d+.-]+:/i;

/** `undefined`: it is not this package's module, or it is found from everywhere. */
type Absolute = (option: string, specifier: string) => string | undefined;

/** @param url of the module that is loaded, which has a `.cjs` beside it for `--require` */
function absoluteOf(url: string): Absolute {
  const file = fileURLToPath(url);
  const own = [file, file.replace(/\.js$/, '.cjs')];
  return (option, specifier) => {
    if (isAbsolute(specifier) || SCHEME.test(specifier)) return undefined;
    try {
      const found = createRequire(resolve('from')).resolve(specifier);
      if (!own.includes(found)) return undefined;
      return option === '--import' ? pathToFileURL(file).href : found;
    } catch {
      return undefined;
    }
  };
}

/** @returns whether a word was changed */
function makeAbsolute(words: string[], absolute: Absolute): boolean {
  let changed = false;
  const put = (index: number, word: string) => {
    words[index] = word;
    changed = true;
  };
  for (let index = 0; index < words.length; index += 1) {
    const [, option, value] = PRELOAD.exec(words[index]!) ?? [];
    if (option === undefined) continue;
    if (value === undefined) index += 1;
    const found = absolute(option, value ?? words[index] ?? '');
    if (found !== undefined) put(index, value === undefined ? found : `${option}=${found}`);
  }
  return changed;
}

/**
 * Names the module by its file in `process.execArgv`, which forks and cluster workers are given, and in `NODE_OPTIONS`.
 *
 * @param url of the module that is loaded
 * @returns whether something was changed: threads inherit what this process was started with, and not this
 */
export function namePreloadsByFile(url: string): boolean {
  const absolute = absoluteOf(url);
  const inArguments = makeAbsolute(process.execArgv, absolute);
  const options = wordsOf(process.env.NODE_OPTIONS ?? '');
  const inOptions = makeAbsolute(options, absolute);
  if (inOptions) process.env.NODE_OPTIONS = nodeOptionsOf(options);
  return inArguments || inOptions;
}

/**
 * What the processes of the benchmark are given of its environment. Options of Node.js would make another program of the native edge
 * (`--import`), and those of this library another one of the app; what a system sets up for all its programs they keep, and the
 * report has it.
 */

import { escapePeerText } from '../../protocol/peer-text.ts';

/** Of Node.js (node(1)) and of this library. */
const WITHHELD = /^(NODE_|KEYLESS_TLS_)/;
/** What changes what is measured, name by name: other programs have tokens in variables that begin as these do (`UV_`, `LD_`). */
const TOLD: ReadonlySet<string> = new Set([
  // OpenSSL: openssl-env(7).
  ...['ia32cap', 'armcap', 'ppccap', 'riscvcap', 's390xcap', 'sparcv9cap', 'CONF', 'MODULES', 'ENGINES'].map(
    (name) => `OPENSSL_${name}`,
  ),
  // libuv.
  ...['UV_THREADPOOL_SIZE', 'UV_USE_IO_URING'],
  // The dynamic linker: ld.so(8), dyld(1).
  ...['PRELOAD', 'LIBRARY_PATH', 'AUDIT', 'BIND_NOW', 'BIND_NOT', 'HWCAP_MASK', 'DEBUG', 'PROFILE'].map(
    (name) => `LD_${name}`,
  ),
  ...['DYLD_INSERT_LIBRARIES', 'DYLD_LIBRARY_PATH'],
  // malloc: mallopt(3), jemalloc(3).
  ...['ARENA_MAX', 'ARENA_TEST', 'CHECK_', 'MMAP_MAX_', 'MMAP_THRESHOLD_', 'PERTURB_', 'TOP_PAD_'].map(
    (name) => `MALLOC_${name}`,
  ),
  ...['MALLOC_TRIM_THRESHOLD_', 'MALLOC_CONF', 'GLIBC_TUNABLES'],
  // Sanitizers.
  ...['ASAN_OPTIONS', 'LSAN_OPTIONS', 'TSAN_OPTIONS', 'UBSAN_OPTIONS'],
]);

type Variables = Readonly<Record<string, string | undefined>>;

export interface Environment {
  /** Of what they were given: what changes what is measured. Values are escaped. */
  readonly given: Readonly<Record<string, string>>;
  /** Names of what they were not given, escaped. */
  readonly withheld: readonly string[];
}

/** @returns what processes of the benchmark are started with */
export function environmentForChildren(all: Variables = process.env): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(all).filter(([name]) => !WITHHELD.test(name)));
}

/** @returns what reports say of it: no other variable's value, and nothing that is more than text */
export function thisEnvironment(all: Variables = process.env): Environment {
  const names = Object.keys(all).sort();
  const given = names.filter((name) => TOLD.has(name)).map((name) => [name, escapePeerText(all[name] ?? '')]);
  const withheld = names.filter((name) => WITHHELD.test(name)).map(escapePeerText);
  return { given: Object.fromEntries(given), withheld };
}

/** @returns `undefined`: nothing was withheld */
export function withheldWarning({ withheld }: Environment): string | undefined {
  if (withheld.length === 0) return undefined;
  const is = withheld.length === 1 ? 'is' : 'are';
  return `${withheld.join(', ')} ${is} set, and the processes that are measured were started without.`;
}

/** @returns for example `, OPENSSL_ia32cap=:~0x200000`; nothing where nothing of it is set */
export const givenInWords = ({ given }: Environment) =>
  Object.entries(given)
    .map(([name, value]) => `, ${name}=${value}`)
    .join('');

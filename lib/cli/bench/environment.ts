/**
 * What the processes of the benchmark are given of its environment. Options of Node.js would make another program of the native edge
 * (`--import`), and those of this library another one of the app; what a system sets up for all its programs they keep, and the
 * report has it.
 */

/** Of Node.js (node(1)) and of this library. */
const WITHHELD = /^(NODE_|KEYLESS_TLS_)/;
/** Of OpenSSL, libuv, the dynamic linker, malloc and sanitizers: what changes what is measured. */
const TOLD = /^(OPENSSL_|UV_|LD_|MALLOC_|GLIBC_|ASAN_|UBSAN_|LSAN_)/;

type Variables = Readonly<Record<string, string | undefined>>;

export interface Environment {
  /** Of what they were given: what changes what is measured. */
  readonly given: Readonly<Record<string, string>>;
  /** Names of what they were not given. */
  readonly withheld: readonly string[];
}

/** @returns what processes of the benchmark are started with */
export function environmentForChildren(all: Variables = process.env): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(all).filter(([name]) => !WITHHELD.test(name)));
}

export function thisEnvironment(all: Variables = process.env): Environment {
  const names = Object.keys(all).sort();
  const given = names.filter((name) => TOLD.test(name)).map((name) => [name, all[name] ?? '']);
  return { given: Object.fromEntries(given), withheld: names.filter((name) => WITHHELD.test(name)) };
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

/** Whose code a sample of `perf script -F ip,sym,dso` is in. */

/** What this package was compiled to; the folder it is in may be a `lib` of its own. */
const LIBRARY = new URL('../lib/', import.meta.url).href;
const OURS = 'JavaScript of keyless-tls';
const JAVASCRIPT = 'JavaScript of Node.js and of the benchmark';

/** Tried from the first to the last; a line is `address symbol (object)`. */
const RULES: readonly (readonly [owner: string, pattern: RegExp])[] = [
  // Its addresses are the upper half, whatever the object is called.
  ['kernel', /^\s*ffff[0-9a-f]{12} |\(\[kernel\b/],
  ['native/ of keyless-tls', /keyless_tls\.node\)/],
  [JAVASCRIPT, /perf-\d+\.map\)/],
  // Code that nobody has written down.
  ['unknown', /\((?:\[(?!vdso\])|\/\/anon)[^)]*\)$/],
  [
    'malloc and free',
    /\b(?:malloc|free|cfree|calloc|realloc|_int_malloc|_int_free\w*|malloc_consolidate|unlink_chunk|sysmalloc|operator (?:new|delete)\S*)\b.*\(/,
  ],
  ["V8's builtins", /\bBuiltins_/],
  [
    'garbage collection',
    /v8::internal::(?:\w+::)*\w*(?:Scaveng|Mark|Sweep|Heap|GC|Evacuat|Incremental|Concurrent|Weak|GlobalHandles|ArrayBufferSweeper|MemoryChunk|Page|FreeList|Space)\w*/,
  ],
  ["V8's runtime", /\bv8::|\bv8_|\bicu_/],
  ["Node.js's C++, libuv", /\bnode::|\buv_|\buv__|\bnapi_|\bv8impl::|\bstd::|\bllhttp/],
  ['OpenSSL, libc', /./],
];

export const OWNERS: readonly string[] = RULES.flatMap(([owner]) =>
  owner === JAVASCRIPT ? [OURS, owner] : [owner],
);

/** @param library URL of the folder that the compiled library is in; its commands, and so the benchmark, are in `cli/` there */
export function ownerOf(line: string, library = LIBRARY): string {
  const owner = RULES.find(([, pattern]) => pattern.test(line))?.[0] ?? 'OpenSSL, libc';
  const isOurs = line.includes(` ${library}`) && !line.includes(` ${library}cli/`);
  return owner === JAVASCRIPT && isOurs ? OURS : owner;
}

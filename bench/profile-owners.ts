/** Whose code a sample of `perf script -F ip,sym,dso` is in. */

/** Tried from the first to the last; a line is `address symbol (object)`. */
const RULES: readonly (readonly [owner: string, pattern: RegExp])[] = [
  ['kernel', /\(\[(?:kernel|guest|unknown)\b.*\]\)|\[\w+\]\)$/],
  ['native/ of keyless-tls', /keyless_tls\.node\)/],
  ['JavaScript of keyless-tls', /\/lib\/(?!cli\/).*\(.*perf-\d+\.map\)/],
  ['JavaScript of Node.js and of the benchmark', /perf-\d+\.map\)/],
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

export const OWNERS: readonly string[] = RULES.map(([owner]) => owner);

export function ownerOf(line: string): string {
  return RULES.find(([, pattern]) => pattern.test(line))?.[0] ?? 'OpenSSL, libc';
}

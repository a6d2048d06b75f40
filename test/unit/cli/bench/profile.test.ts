/** Whose code the samples of `npm run bench:profile` are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OWNERS, ownerOf } from '../../../../bench/profile-owners.ts';

const LINES: readonly (readonly [line: string, owner: string])[] = [
  ['ffffffff81e00000 _raw_spin_unlock_irqrestore ([kernel.kallsyms])', 'kernel'],
  ['ffffffffc0a1b2c3 nf_conntrack_in ([nf_conntrack])', 'kernel'],
  ['    ffffffff81e00000 [unknown] ([unknown])', 'kernel'],
  ['7f0000000000 __vdso_clock_gettime ([vdso])', 'OpenSSL, libc'],
  ['7f0000000000 [unknown] ([unknown])', 'unknown'],
  ['7f0000000000 [unknown] (//anon)', 'unknown'],
  ['7f0000000000 [unknown] ([anon:v8])', 'unknown'],
  ['7f0000000000 [unknown] ([heap])', 'unknown'],
  ['7f00 keyless::RunJob(Handshake&) (/app/build/Release/keyless_tls.node)', 'native/ of keyless-tls'],
  [
    '3a10 JS:*settle file:///var/lib/app/dist/lib/engine/operation.js:10:3 (/tmp/perf-4711.map)',
    'JavaScript of keyless-tls',
  ],
  [
    '3a10 JS:*onread node:internal/stream_base_commons:166 (/tmp/perf-4711.map)',
    'JavaScript of Node.js and of the benchmark',
  ],
  [
    '3a10 JS:*onSocket file:///var/lib/app/dist/lib/cli/bench/edge-process.js:9:3 (/tmp/perf-4711.map)',
    'JavaScript of Node.js and of the benchmark',
  ],
  ['7f00 _int_malloc (/usr/lib/x86_64-linux-gnu/libc.so.6)', 'malloc and free'],
  ['7f00 cfree@GLIBC_2.2.5 (/usr/lib/x86_64-linux-gnu/libc.so.6)', 'malloc and free'],
  ['0b00 Builtins_LoadIC (/usr/bin/node)', "V8's builtins"],
  [
    '0b00 v8::internal::Scavenger::ScavengePage(v8::internal::MemoryChunk*) (/usr/bin/node)',
    'garbage collection',
  ],
  ['0b00 v8::Object::Get(v8::Local<v8::Context>) (/usr/bin/node)', "V8's runtime"],
  ['0b00 node::crypto::TLSWrap::EncOut() (/usr/bin/node)', "Node.js's C++, libuv"],
  ['0b00 uv__io_poll (/usr/bin/node)', "Node.js's C++, libuv"],
  ['0b00 ossl_rsaz_amm52x20_x1_ifma256 (/usr/bin/node)', 'OpenSSL, libc'],
  ['7f00 __memmove_evex_unaligned_erms (/usr/lib/x86_64-linux-gnu/libc.so.6)', 'OpenSSL, libc'],
];

test('what is of this library is known by where it is', () => {
  const ownerIn = (path: string) => {
    const { href } = new URL(path, new URL('../../../../', import.meta.url));
    return ownerOf(`3a10 JS:*one ${href}:9:3 (/tmp/perf-4711.map)`);
  };
  assert.equal(ownerIn('lib/engine/operation.js'), 'JavaScript of keyless-tls');
  assert.equal(ownerIn('lib/cli/bench/edge-process.js'), 'JavaScript of Node.js and of the benchmark');
  assert.equal(ownerIn('../lib/other.js'), 'JavaScript of Node.js and of the benchmark');
});

test('a sample belongs to whose code was running', () => {
  for (const [line, owner] of LINES)
    assert.equal(ownerOf(line, 'file:///var/lib/app/dist/lib/'), owner, line);
  assert.deepEqual([...new Set(LINES.map(([, owner]) => owner))].sort(), [...OWNERS].sort());
});

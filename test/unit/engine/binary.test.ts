/**
 * A runtime without OpenSSL's symbols (Electron, Bun, Deno) must find that out when it loads the addon, where it is an
 * error with a code. Bound at the first call instead, the loader ends the process. ELF only: macOS binds at load anyway.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { addon, isCurrent } from '../../../lib/engine/addon.ts';

const ADDON = fileURLToPath(new URL('../../../../build/Release/keyless_tls.node', import.meta.url));

const PT_DYNAMIC = 2;
const DT_FLAGS_1 = 0x6ffffffb;
const DF_1_NOW = 1;

/** The entries of the dynamic section of a 64-bit little-endian ELF file, by tag. */
function dynamicSection(elf: Buffer): ReadonlyMap<number, number> {
  const at = (offset: number) => Number(elf.readBigUInt64LE(offset));
  const [headersAt, headerBytes, headerCount] = [at(0x20), elf.readUInt16LE(0x36), elf.readUInt16LE(0x38)];
  const headers = Array.from({ length: headerCount }, (_, index) => headersAt + index * headerBytes);
  const dynamic = headers.find((header) => elf.readUInt32LE(header) === PT_DYNAMIC);
  assert.ok(dynamic !== undefined, 'it has a dynamic section');
  const [start, bytes] = [at(dynamic + 0x08), at(dynamic + 0x20)];
  const offsets = Array.from({ length: bytes / 16 }, (_, index) => start + index * 16);
  return new Map(offsets.map((offset) => [at(offset), at(offset + 8)]));
}

if (process.platform === 'linux') {
  test('the addon binds all its symbols when it is loaded', () => {
    const flags = dynamicSection(readFileSync(ADDON)).get(DT_FLAGS_1) ?? 0;
    assert.equal(flags & DF_1_NOW, DF_1_NOW);
  });
}

test('a binary without one of the functions is known to be an old one', () => {
  const current = { ...addon() };
  assert.equal(isCurrent(current), true);
  for (const name of ['drive', 'setTicketKeys', 'removeEndpoint'] as const) {
    assert.equal(isCurrent({ ...current, [name]: undefined } as unknown as typeof current), false, name);
  }
});

/** The memory of another process, searched (proc(5), /proc/pid/mem). */
import { createPrivateKey } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

const CHUNK_BYTES = 1 << 22;

function readable(pid: number): [number, number][] {
  return readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .filter((line) => /^[0-9a-f]+-[0-9a-f]+ r/.test(line) && !/\[(vvar|vsyscall|vvar_vclock)\]/.test(line))
    .map(
      (line) =>
        (line.split(' ')[0] as string).split('-').map((hex) => Number.parseInt(hex, 16)) as [number, number],
    );
}

/** @returns the names of what was found in the process's memory */
export function search(pid: number, wanted: ReadonlyMap<string, Buffer>): Set<string> {
  const found = new Set<string>();
  const overlap = Math.max(...[...wanted.values()].map(({ length }) => length));
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const buffer = Buffer.alloc(CHUNK_BYTES + overlap);
  for (const [start, end] of readable(pid)) {
    for (let at = start; at < end; at += CHUNK_BYTES) {
      let size = 0;
      try {
        size = readSync(memory, buffer, 0, Math.min(buffer.length, end - at), at);
      } catch {
        continue; // a guard page, or memory that has been given back meanwhile
      }
      const piece = buffer.subarray(0, size);
      for (const [name, value] of wanted) if (piece.includes(value)) found.add(name);
    }
  }
  closeSync(memory);
  return found;
}

/** The secret numbers of a key, in both byte orders: OpenSSL keeps them in words of the machine's. */
export function secretsOf(keyPem: string): Map<string, Buffer> {
  const jwk = createPrivateKey(keyPem).export({ format: 'jwk' }) as Record<string, unknown>;
  const found = new Map<string, Buffer>();
  for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const) {
    const value = jwk[name];
    if (typeof value !== 'string') continue;
    const big = Buffer.from(value, 'base64url');
    // The ends are as telling as the whole, and found even where a copy is cut.
    found.set(`${name} big-endian`, big.subarray(0, 24));
    found.set(`${name} little-endian`, Buffer.from(big).reverse().subarray(0, 24));
    found.set(`${name} text`, Buffer.from(value.slice(0, 32)));
  }
  const body = keyPem.split('\n').slice(2, 3).join('');
  found.set('PEM', Buffer.from(body));
  return found;
}

/** PKCS#12 files, by the openssl command. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Issued } from './certificates.ts';

/** @returns a certificate with its key; @param authority PEM, which Node trusts where it is in there */
export function makePfx({ certPem, keyPem }: Issued, passphrase: string, authority = ''): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-pfx-'));
  try {
    const [cert, key, out] = [join(folder, 'cert.pem'), join(folder, 'key.pem'), join(folder, 'out.pfx')];
    writeFileSync(cert, certPem + authority);
    writeFileSync(key, keyPem, { mode: 0o600 });
    const files = ['-in', cert, '-inkey', key, '-out', out];
    execFileSync('openssl', ['pkcs12', '-export', ...files, '-passout', `pass:${passphrase}`]);
    return readFileSync(out);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

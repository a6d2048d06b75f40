/** What init calls key servers and edges. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MAIN } from '../helpers/serve-process.ts';

function init(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, 'init', ...args], { encoding: 'utf8' });
}

test('names of servers are as long as host names may be, and have no empty labels', (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'keyless-tls-names-'));
  context.after(() => rmSync(directory, { recursive: true }));
  const long = `keys-0.${'a'.repeat(63)}.some-namespace.svc.cluster.local`;
  const made = init(directory, '--server', long);
  assert.deepEqual([made.status, made.stderr], [0, '']);
  const certificate = new X509Certificate(readFileSync(join(directory, 'server/server.crt')));
  assert.equal(certificate.subjectAltName, `DNS:${long}`);
  assert.equal(certificate.subject, 'CN=key server');
  const tooLong = `${'a.'.repeat(126)}bc`;
  for (const args of [
    ['--server', tooLong],
    ['--server', `${'a'.repeat(64)}.b`],
    ['--server', 'a..b'],
    ['--server', 'a-.b'],
    ['--edge', 'a..b'],
    ['--edge', long],
  ]) {
    const { status, stderr } = init(directory, ...args);
    assert.equal(status, 2, args.join(' '));
    assert.match(stderr, /is not a host name of at most \d+ letters/);
  }
});

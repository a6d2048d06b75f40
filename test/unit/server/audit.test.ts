/** Records that are put together by hand are JSON, whatever peers and policies say. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { auditOperations } from '../../../lib/server/audit.ts';
import { auditFiles } from '../../../lib/server/audit-files.ts';
import { AuditLog } from '../../../lib/server/audit-log.ts';
import { parseLine } from '../../../lib/server/audit-record.ts';
import { verifyAudit } from '../../../lib/server/audit-verify.ts';
import { type Peer, type ServerOperation, serverOperation } from '../../../lib/server/channels.ts';
import { Rounds } from '../../../lib/server/rounds.ts';

const STRANGE = 'a"b\\c\n\u2028é😀';
const PEER: Peer = {
  address: '192.0.2.1 port 1',
  subject: 'CN=edge',
  client: STRANGE,
  fingerprint: 'AB:CD',
  profile: 'ours',
};
const FULL: ServerOperation = {
  ...{ peer: PEER, kind: 'sign', method: 'rsa-pss sha256', keyId: 'ab'.repeat(20), keyFound: true },
  ...{ context: 'tls13-server', servername: STRANGE, refusal: undefined, errorCode: undefined },
  ...{ transcript: 'cd'.repeat(32), repeats: false, durationMs: 1.23456 },
};
const EMPTY: ServerOperation = {
  ...{
    peer: { ...PEER, client: 'any' },
    kind: 'invalid',
    method: undefined,
    keyId: undefined,
    keyFound: false,
  },
  ...{ context: undefined, servername: undefined, refusal: 'malformed', errorCode: 7 },
  ...{ transcript: undefined, repeats: false, durationMs: 2e-7 },
};

test('a record says what the operation was, and what there is not is left out; the chain is whole', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyless-tls-audit-'));
  try {
    const log = new AuditLog({ directory, onFailure: (error) => assert.fail(error), wallClock: () => 1000 });
    const stop = auditOperations(log);
    // More than there is room for at first.
    for (let count = 0; count < 500; count += 1) serverOperation.publish(FULL);
    const again = { ...FULL, repeats: true };
    for (const operation of [{ ...FULL, kind: 'ping' }, EMPTY, again]) serverOperation.publish(operation);
    stop();
    log.close();
    const lines = readFileSync(auditFiles(directory)[0]!, 'utf8').trimEnd().split('\n');
    const bodies = lines.map((line) => parseLine(line)!.body).filter(({ event }) => event === 'operation');
    assert.equal(bodies.length, 502);
    const same = { time: '1970-01-01T00:00:01.000Z', event: 'operation', certificate: 'AB:CD' };
    const [client, key] = [STRANGE, FULL.keyId];
    const said = { method: FULL.method, context: FULL.context, transcript: FULL.transcript, sni: STRANGE };
    assert.deepEqual(bodies.at(-1), {
      ...{
        ...same,
        seq: 503,
        client,
        address: PEER.address,
        kind: 'sign',
        key,
        ...said,
        result: 'repeated',
        ms: 1.235,
      },
    });
    assert.deepEqual(bodies.at(-2), {
      ...{
        ...same,
        seq: 502,
        client: 'any',
        address: PEER.address,
        kind: 'invalid',
        result: 'malformed',
        ms: 0,
      },
    });
    const { bad, records } = await verifyAudit(directory);
    assert.deepEqual([bad, records], [undefined, 504]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('a record is in the file when the answer of its operation leaves', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyless-tls-audit-'));
  const log = new AuditLog({ directory, onFailure: (error) => assert.fail(error) });
  const stop = auditOperations(log);
  try {
    // The log writes what it says of its own beginning.
    await new Promise(setImmediate);
    const rounds = new Rounds();
    const written = new Promise<string>((resolve) => {
      rounds.addFlush({ flush: () => resolve(readFileSync(auditFiles(directory)[0]!, 'utf8')) });
    });
    serverOperation.publish(FULL);
    assert.match(await written, /"event":"operation"/);
  } finally {
    stop();
    log.close();
    rmSync(directory, { recursive: true, force: true });
  }
});

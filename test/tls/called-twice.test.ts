/**
 * SNICallback and OCSPRequest whose callbacks are called twice: Node destroys the socket with ERR_MULTIPLE_CALLBACK at the
 * second call, and by then has signed, where the first call was enough. A key that answers at once signs then too.
 */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import tls, { type TlsOptions } from 'node:tls';
import { engineStats } from '../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, describeError, listen } from '../helpers/connections.ts';
import { type Side, sideNamed } from '../helpers/parity.ts';

let authority: Authority;
let first: Issued;
let other: Issued;

before(async () => {
  authority = await makeAuthority();
  [first, other] = await Promise.all([authority.issue({ type: 'rsa' }), authority.issue({ type: 'p256' })]);
});

type Done = (error: Error | null, value?: unknown) => void;

/** When something is called: at once, in the next tick, in the next turn of the loop. */
const WHEN: Readonly<Record<string, (work: () => void) => void>> = {
  'at once': (work) => work(),
  'in a tick': (work) => process.nextTick(work),
  'in a turn': (work) => setImmediate(work),
};

interface Visit {
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly callback: 'SNICallback' | 'OCSPRequest';
  readonly firstTime: string;
  readonly secondTime: string;
  readonly secondError: Error | null;
}

/** @returns calls `done` as the visit says, which tells the log of it */
function twice(visit: Visit, log: unknown[]): (done: Done, value: unknown) => void {
  const { firstTime, secondTime, secondError } = visit;
  return (done, value) =>
    WHEN[firstTime]!(() => {
      log.push('first');
      done(null, value);
      log.push('called');
      WHEN[secondTime]!(() => {
        log.push('second');
        done(secondError, value);
      });
    });
}

const label = (line: Buffer): string => String(line).split(' ')[0]!;

/** @returns what the server tells, and how far the client has come: how it learns of the end is a matter of timing */
async function told(side: Side, visit: Visit): Promise<{ server: unknown[]; client: unknown[] }> {
  const { maxVersion, callback } = visit;
  const log: unknown[] = [];
  const call = twice(visit, log);
  const context = side.tls.createSecureContext({ cert: other.certPem, key: side.key(other) });
  const SNICallback: TlsOptions['SNICallback'] = (_name, done) => call(done as Done, context);
  const late = callback === 'SNICallback' ? { SNICallback } : {};
  const server = side.tls.createServer({ cert: first.certPem, key: side.key(first), maxVersion, ...late });
  if (callback === 'OCSPRequest') {
    server.on('OCSPRequest', (_certificate, _issuer, done) => call(done as Done, Buffer.of(1)));
  }
  server.on('keylog', (line) => log.push(label(line)));
  server.on('tlsClientError', (error) => log.push(describeError(error)));
  server.on('secureConnection', () => log.push('secureConnection'));
  const client = tls.connect({
    port: await listen(server),
    host: '127.0.0.1',
    servername: 'localhost',
    ca: authority.certPem,
    requestOCSP: true,
  });
  const seen: unknown[] = [];
  client.on('keylog', (line) => seen.push(label(line))).on('error', () => {});
  client.on('secureConnect', () => seen.push(client.getPeerX509Certificate()?.fingerprint256));
  await new Promise((resolve) => client.on('close', resolve));
  await close(server);
  return { server: log, client: seen };
}

function visits(): Visit[] {
  const times = Object.keys(WHEN);
  return (['TLSv1.2', 'TLSv1.3'] as const).flatMap((maxVersion) =>
    (['SNICallback', 'OCSPRequest'] as const).flatMap((callback) =>
      times.flatMap((firstTime) => [
        ...times.map((secondTime) => ({ maxVersion, callback, firstTime, secondTime, secondError: null })),
        { maxVersion, callback, firstTime, secondTime: 'at once', secondError: new Error('no') },
      ]),
    ),
  );
}

/** Where a key takes time, the socket has gone before the lines that follow its answer. */
const withoutKeylog = (server: unknown[]): unknown[] =>
  server.filter((entry) => typeof entry !== 'string' || !/_/.test(entry));

for (const visit of visits()) {
  const { maxVersion, callback, firstTime, secondTime, secondError } = visit;
  const second = `${secondTime}${secondError ? ' with an error' : ''}`;
  describe(`${callback} calls back ${firstTime} and again ${second}, ${maxVersion}`, () => {
    it('tells the same with a key that answers at once', async () => {
      const native = await told(await sideNamed('native'), visit);
      assert.ok(native.server.some((entry) => (entry as { code?: string }).code === 'ERR_MULTIPLE_CALLBACK'));
      assert.deepEqual(await told(await sideNamed('sync'), visit), native);
    });
    it('destroys the socket in the same way while a key has not answered', async () => {
      const native = withoutKeylog((await told(await sideNamed('native'), visit)).server);
      assert.deepEqual(withoutKeylog((await told(await sideNamed('delayed'), visit)).server), native);
      assert.equal(engineStats().handshakes, 0);
    });
  });
}

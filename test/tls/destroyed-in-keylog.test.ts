/** A keylog handler that destroys its socket, at once or in what it puts off: lines that OpenSSL has told by then still come. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, test } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { connect, type SignOperation } from '../../lib/index.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { parity } from '../helpers/parity.ts';

let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'rsa' });
});

const WHEN: Readonly<Record<string, (work: () => void) => void>> = {
  'at once': (work) => work(),
  'in a tick': (work) => process.nextTick(work),
  'in a microtask': (work) => queueMicrotask(work),
};

const OPTIONS: Readonly<Record<string, tls.TlsOptions>> = {
  'TLS 1.3': { minVersion: 'TLSv1.3' },
  'TLS 1.2': { maxVersion: 'TLSv1.2' },
  'RSA key exchange': { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' },
};

/** @returns hears of lines, and destroys their socket with the first one */
function destroying(
  log: unknown[],
  when: (work: () => void) => void,
): (line: Buffer, socket: TLSSocket) => void {
  let isFirst = true;
  return (line, socket) => {
    log.push(String(line).split(' ')[0]);
    if (isFirst) when(() => log.push('destroyed', socket.destroy().destroyed));
    isFirst = false;
  };
}

for (const [name, options] of Object.entries(OPTIONS)) {
  for (const [how, when] of Object.entries(WHEN)) {
    parity(`a server's handler destroys ${how}, ${name}`, async (side) => {
      const log: unknown[] = [];
      const server = side.tls.createServer({ cert: issued.certPem, key: side.key(issued), ...options });
      server.on('keylog', destroying(log, when));
      server.on('tlsClientError', ({ code }: NodeJS.ErrnoException) => log.push(code));
      server.on('secureConnection', () => log.push('secureConnection'));
      const client = tls.connect({
        port: await listen(server),
        host: '127.0.0.1',
        rejectUnauthorized: false,
      });
      client.on('error', ({ code }: NodeJS.ErrnoException) => log.push(`client: ${code}`)).resume();
      await new Promise((resolve) => client.on('close', resolve));
      await close(server);
      return log;
    });
  }
}

test('a client that is destroyed so, TLS 1.3, has what its key has not answered aborted, and no more lines', async () => {
  const { certPem: cert, keyPem: key } = issued;
  const of = { requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.3' } as const;
  const server = tls.createServer({ cert, key, ...of }).on('tlsClientError', () => {});
  const port = await listen(server);
  for (const when of Object.values(WHEN)) {
    const log: unknown[] = [];
    const signals: AbortSignal[] = [];
    const sign = ({ signal }: SignOperation) => {
      signals.push(signal);
      return new Promise<Uint8Array>(() => {});
    };
    const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, cert, key: { sign } });
    const onLine = destroying(log, when);
    client.on('keylog', (line) => onLine(line, client)).on('error', (error) => log.push(error));
    await once(client, 'close');
    await new Promise(setImmediate);
    assert.deepEqual(log, ['SERVER_HANDSHAKE_TRAFFIC_SECRET', 'destroyed', true]);
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true],
    );
  }
  await close(server);
});

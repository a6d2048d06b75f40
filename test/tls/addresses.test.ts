/** A client that tries several addresses changes its socket's handle under way; nothing of the former may stay. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { LookupFunction, TcpNetConnectOpts } from 'node:net';
import { before, describe, it } from 'node:test';
import nodeTls, { type ConnectionOptions, type Server } from 'node:tls';
import { connect, engineStats, type PrivateKey } from '../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, converse, listen } from '../helpers/connections.ts';
import { parity, remoteKey } from '../helpers/parity.ts';
import { gone } from '../helpers/visits.ts';

let authority: Authority;
let issued: Issued;

before(async () => {
  authority = await makeAuthority();
  issued = await authority.issue({ type: 'p256' });
});

/** Nobody listens on the first two. */
const lookup: LookupFunction = (_name, _options, done) =>
  done(null, [
    { address: '127.0.0.3', family: 4 },
    { address: '127.0.0.2', family: 4 },
    { address: '127.0.0.1', family: 4 },
  ]);

const SEVERAL: ConnectionOptions &
  Pick<TcpNetConnectOpts, 'autoSelectFamily' | 'autoSelectFamilyAttemptTimeout'> = {
  host: 'localhost',
  lookup,
  autoSelectFamily: true,
  autoSelectFamilyAttemptTimeout: 10_000,
};

parity(
  'a client with a certificate that tries several addresses',
  async (side) => {
    const options = { ca: authority.certPem, cert: issued.certPem, key: side.key(issued) };
    const server = side.tls.createServer({ ...options, requestCert: true });
    const story = await converse(side, server, await listen(server), { client: { ...options, ...SEVERAL } });
    await close(server);
    return story;
  },
  2,
);

function askingServer(): Server {
  return nodeTls.createServer(
    { ca: authority.certPem, cert: issued.certPem, key: issued.keyPem, requestCert: true },
    (socket) => socket.on('error', () => {}).end('well'),
  );
}

function attempt(port: number, key: PrivateKey): nodeTls.TLSSocket {
  return connect({
    ...SEVERAL,
    port,
    servername: 'localhost',
    ca: authority.certPem,
    cert: issued.certPem,
    key,
  });
}

describe('a keyless client that has tried several addresses', () => {
  it('leaves no handshake behind when it closes', async () => {
    const server = askingServer();
    const client = attempt(await listen(server), remoteKey(issued.keyPem, 'turn'));
    assert.deepEqual(await gone(client), ['end']);
    assert.equal(engineStats().handshakes, 0);
    await close(server);
  });

  it('aborts its operation when it is destroyed', async () => {
    const server = askingServer();
    let signal: AbortSignal | undefined;
    let begin = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const client = attempt(await listen(server), {
      sign(operation) {
        signal = operation.signal;
        begin();
        return new Promise(() => {});
      },
    });
    await begun;
    client.destroy();
    await once(client, 'close');
    assert.equal(signal?.aborted, true);
    assert.deepEqual([engineStats().handshakes, engineStats().paused], [0, 0]);
    await close(server);
  });
});

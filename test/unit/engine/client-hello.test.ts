/** What is read of a ClientHello, of real ones and of bad ones. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { before, describe, it } from 'node:test';
import tls, { type ConnectionOptions, type Server } from 'node:tls';
import { extensionIn, firstIdentity, PRE_SHARED_KEY } from '../../../lib/engine/client-hello.ts';
import { createServer, localKey } from '../../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../../helpers/certificates.ts';
import { close, listen } from '../../helpers/connections.ts';
import { firstVisit } from '../../helpers/returning-client.ts';

let authority: Authority;
let issued: Issued;

before(async () => {
  authority = await makeAuthority();
  issued = await authority.issue({ type: 'p256' });
});

function offeredIdentity(bytes: Buffer): Buffer | undefined {
  const offer = extensionIn(bytes, PRE_SHARED_KEY);
  return offer && firstIdentity(offer);
}

/** The first bytes of a client. */
async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const server = net.createServer() as Server;
  const port = await listen(server);
  const accepted = once(server, 'connection') as Promise<[net.Socket]>;
  const client = tls
    .connect({ ...options, port, host: '127.0.0.1', servername: 'localhost' })
    .on('error', () => undefined);
  const [socket] = await accepted;
  const [hello] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  await close(server);
  return hello;
}

/** @param secureOptions of the server that gives the session */
async function sessionOf(secureOptions: number): Promise<Buffer> {
  const { certPem: cert, keyPem } = issued;
  const server = createServer({ cert, key: localKey(keyPem), secureOptions }, (socket) =>
    setImmediate(() => socket.end()),
  );
  const port = await listen(server);
  const session = await firstVisit({ port, ca: authority.certPem, version: 'TLSv1.3' });
  await close(server);
  return session;
}

describe('the first identity that a client offers', () => {
  it('is the id of a session that lies on the server, or the ticket that holds it', async () => {
    const id = offeredIdentity(await helloOf({ session: await sessionOf(1 << 14) }));
    assert.equal(id?.length, 32);
    const ticket = offeredIdentity(await helloOf({ session: await sessionOf(0) }));
    assert.ok(ticket !== undefined && ticket.length > 100);
  });

  it('is not there without a session, nor in TLS 1.2', async () => {
    assert.equal(offeredIdentity(await helloOf({})), undefined);
    assert.equal(offeredIdentity(await helloOf({ maxVersion: 'TLSv1.2' })), undefined);
  });

  it('is none of a message that is cut off or changed, whatever it looks like then', async () => {
    const hello = await helloOf({ session: await sessionOf(1 << 14) });
    const id = offeredIdentity(hello)!;
    const end = hello.indexOf(id) + id.length;
    for (let length = 0; length < end; length += 1) {
      const found = offeredIdentity(hello.subarray(0, length));
      assert.ok(found === undefined || found.length === 0, `${length} bytes`);
    }
    for (let at = 0; at < hello.length; at += 1) {
      for (const value of [0, 1, 0x7f, 0xff]) {
        const changed = Buffer.from(hello);
        changed[at] = value;
        const found = offeredIdentity(changed);
        assert.ok(found === undefined || changed.includes(found), `${value} at ${at}`);
      }
    }
  });
});

/** What a connection to a backend over TLS costs: no context of its own. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { after, before, mock, test } from 'node:test';
import tls from 'node:tls';
import { connectBackend, parseBackend } from '../../../lib/proxy/backend.ts';
import { BackendTls } from '../../../lib/proxy/backend-tls.ts';
import { startHttp1 } from '../../../lib/proxy/send-http1.ts';
import { makeAuthority } from '../../helpers/certificates.ts';
import { portOf } from '../../helpers/proxying.ts';

const server = createServer((_, response) => response.end());
let port: number;
let backends: BackendTls;
before(async () => {
  const authority = await makeAuthority();
  const { certPem: cert, keyPem: key } = await authority.issue({ type: 'p256', dns: ['localhost'] });
  server.setSecureContext({ cert, key });
  port = await portOf(server);
  backends = new BackendTls({ ca: Buffer.from(authority.certPem) });
});
after(() => server.close());

async function connect(protocol: string): Promise<void> {
  const socket = connectBackend(parseBackend(`${protocol}://localhost:${port}`, backends)) as tls.TLSSocket;
  await once(socket, 'secureConnect');
  assert.ok(socket.authorized);
  socket.destroy();
}

async function ask(agent: false | undefined): Promise<void> {
  const outgoing = { method: 'GET', target: '/', headers: {}, hasBody: false, takesTrailers: false };
  const headers = { host: 'localhost', connection: 'close' };
  const backend = parseBackend(`https://localhost:${port}`, backends);
  const request = startHttp1(backend, { ...outgoing, headers }, agent).end();
  const [response] = await once(request, 'response');
  await once(response.resume(), 'close');
}

test('connections of any protocol share the context of the authorities', async () => {
  backends.context();
  const made = mock.method(tls, 'createSecureContext');
  for (const protocol of ['tls', 'h2', 'tls']) await connect(protocol);
  for (const agent of [undefined, false] as const) await ask(agent);
  assert.equal(made.mock.callCount(), 0);
  made.mock.restore();
});

/** Two copies of the package in one process, as where an app has one and a dependency of its has another. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import tls, { type TlsOptions } from 'node:tls';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as ours from '../../lib/index.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { until } from '../helpers/edge.ts';

type Copy = Pick<typeof ours, 'createServer' | 'createSecureContext' | 'localKey'>;

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const BINARY = 'build/Release/keyless_tls.node';

let folder: string;
let theirs: Copy;
let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'rsa' });
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-copy-'));
  for (const part of ['package.json', 'dist/lib', BINARY])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  theirs = (await import(pathToFileURL(join(folder, 'dist/lib/index.js')).href)) as Copy;
});
after(() => rmSync(folder, { recursive: true, force: true }));

const own = (copy: Copy) => ({ cert: issued.certPem, key: copy.localKey(issued.keyPem) });

/** @returns the protocol agreed on */
async function visit(server: tls.Server): Promise<unknown> {
  server.on('tlsClientError', (error) => assert.fail(error));
  const client = tls.connect({
    port: await listen(server),
    host: '127.0.0.1',
    servername: 'localhost',
    ca: issued.certPem,
    ALPNProtocols: ['a'],
    rejectUnauthorized: false,
  });
  await Promise.all([once(client, 'secureConnect'), once(server, 'secureConnection')]);
  client.destroy();
  await close(server);
  return client.alpnProtocol;
}

const ALPNCallback = ({ protocols }: { protocols: string[] }) => protocols[0];
test('a server that chooses contexts of both copies by name serves clients of both at once', async () => {
  const contexts = [ours, theirs].map((copy) => copy.createSecureContext(own(copy)));
  const SNICallback: TlsOptions['SNICallback'] = (name, done) =>
    done(null, contexts[name === 'ours.example' ? 0 : 1]);
  let served = 0;
  const server = ours.createServer({ ...own(ours), SNICallback }, () => {
    served += 1;
  });
  const port = await listen(server);
  const names = Array.from({ length: 12 }, (_, at) => (at % 2 === 0 ? 'ours.example' : 'theirs.example'));
  const clients = names.map((servername) =>
    tls.connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }),
  );
  await until(() => served === clients.length);
  for (const client of clients) client.destroy();
  await close(server);
});

test('each copy serves with its own keys, and with contexts of the other, whichever came last', async () => {
  assert.notEqual(ours.createServer, theirs.createServer);
  for (const [one, other] of [
    [ours, theirs],
    [theirs, ours],
    [ours, theirs],
  ] as [Copy, Copy][]) {
    const context = other.createSecureContext(own(other));
    const SNICallback: TlsOptions['SNICallback'] = (_, done) => done(null, context);
    const options: object[] = [{}, { ALPNCallback }, { SNICallback }, { SNICallback, ALPNCallback }];
    for (const each of options) {
      const protocol = await visit(
        one.createServer({ ...own(one), ...each } as Parameters<Copy['createServer']>[0]),
      );
      assert.equal(protocol, 'ALPNCallback' in each ? 'a' : false);
    }
  }
});

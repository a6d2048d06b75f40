/**
 * Two copies of the package in one process, as where an app has one and a dependency of its has another. Their binaries may be one:
 * package managers make links, and the system loads a file once, whatever its names.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { before, describe, it } from 'node:test';
import tls, { type TlsOptions } from 'node:tls';
import { fileURLToPath } from 'node:url';
import * as ours from '../../lib/index.ts';
import { anotherCopy, type Copy, LINKS, own as ownOf } from '../helpers/another-copy.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { until } from '../helpers/edge.ts';
import { run } from '../helpers/programs.ts';

let issued: Issued;
let other: Issued;
let third: Issued;

/** What keys of ours were asked to sign for contexts of others. */
const strayed: unknown[] = [];
/** Our first, whose key has the number that the other copy's first key has there. */
let first: tls.SecureContext;

before(async () => {
  const authority = await makeAuthority();
  [issued, other, third] = await Promise.all([
    authority.issue({ type: 'rsa' }),
    authority.issue({ type: 'rsa' }),
    authority.issue({ type: 'p256' }),
  ]);
  const sign = (operation: ours.SignOperation) => {
    strayed.push(operation.scheme);
    return ours.localKey(issued.keyPem).sign(operation);
  };
  first = ours.createSecureContext({ cert: issued.certPem, key: { sign } });
});
const own = (copy: Copy, of = issued) => ownOf(copy, of);

/** @returns the protocol agreed on, and the certificate that the client got */
async function visitAndLook(server: tls.Server): Promise<[unknown, string]> {
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
  const { fingerprint256 } = client.getPeerCertificate();
  client.destroy();
  await close(server);
  return [client.alpnProtocol, fingerprint256];
}

async function visit(server: tls.Server): Promise<unknown> {
  const [protocol] = await visitAndLook(server);
  return protocol;
}

const ALPNCallback = ({ protocols }: { protocols: string[] }) => protocols[0];

for (const [what, link] of Object.entries(LINKS)) {
  describe(`the other copy's binary is ${what}`, () => {
    let theirs: Copy;
    /** Of which ours can make none of its own: it has a key of Node's, too. */
    let mixed: tls.SecureContext;
    before(async () => {
      theirs = await anotherCopy(link);
      const key = [third.keyPem, theirs.localKey(other.keyPem)] as unknown as string[];
      mixed = theirs.createSecureContext({ cert: [third.certPem, other.certPem], key });
    });

    it('a server that chooses contexts of both copies by name serves clients of both at once', async () => {
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

    it('each copy serves with its own keys, and with contexts of the other, whichever came last', async () => {
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

    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      it(`an ALPNCallback exchanges the key for one of either copy, at servers of Node and of both, ${maxVersion}`, async () => {
        const copies: Record<string, Copy> = { ours, theirs };
        const { fingerprint256 } = new X509Certificate(other.certPem);
        const makers = {
          node: { cert: issued.certPem, key: issued.keyPem },
          ours: own(ours),
          theirs: own(theirs),
        };
        for (const [maker, options] of Object.entries(makers)) {
          for (const [name, copy] of Object.entries(copies)) {
            const context = copy.createSecureContext(own(copy, other));
            const exchanging = {
              ALPNCallback(this: tls.TLSSocket, { protocols }: { protocols: string[] }) {
                this.setKeyCert(context);
                return protocols[0];
              },
            };
            const make = (copies[maker] ?? tls).createServer as typeof tls.createServer;
            const server = make({ ...options, ...exchanging, maxVersion } as unknown as TlsOptions);
            assert.deepEqual(await visitAndLook(server), ['a', fingerprint256], `${maker}, ${name}`);
          }
        }
      });

      it(`no key of ours signs for a context of the other copy that has come to a handshake of ours, ${maxVersion}`, async () => {
        const own = { cert: issued.certPem, key: ours.localKey(issued.keyPem), maxVersion };
        const server = ours.createServer({
          ...own,
          ALPNCallback(this: tls.TLSSocket, { protocols }: { protocols: string[] }) {
            this.setKeyCert(mixed);
            return protocols[0];
          },
        } as unknown as Parameters<Copy['createServer']>[0]);
        const port = await listen(server);
        const client = tls.connect({ port, host: '127.0.0.1', ALPNProtocols: ['a'] }).on('error', () => {});
        const [{ code }] = (await once(server, 'tlsClientError')) as [NodeJS.ErrnoException];
        client.destroy();
        await close(server);
        assert.deepEqual([code, strayed], ['ERR_KEYLESS_HANDSHAKE', []]);
        assert.ok(first.context, 'its key is there to be found');
      });

      it(`a client that goes while a key of either copy has not answered aborts the operation, ${maxVersion}`, async () => {
        for (const copy of [ours, theirs]) {
          let asked: ((signal: AbortSignal) => void) | undefined;
          const operation = new Promise<AbortSignal>((resolve) => {
            asked = resolve;
          });
          const key = {
            sign: ({ signal }: ours.SignOperation) => {
              asked?.(signal);
              return new Promise<Uint8Array>(() => {});
            },
          };
          const context = copy.createSecureContext({ cert: issued.certPem, key });
          const server = tls.createServer({
            ...{ cert: issued.certPem, key: issued.keyPem, maxVersion },
            ALPNCallback(this: tls.TLSSocket, { protocols }: { protocols: string[] }) {
              this.setKeyCert(context);
              return protocols[0];
            },
          } as unknown as TlsOptions);
          server.on('tlsClientError', () => {});
          const port = await listen(server);
          const client = tls.connect({ port, host: '127.0.0.1', ALPNProtocols: ['a'] }).on('error', () => {});
          const signal = await operation;
          client.destroy();
          await once(signal, 'abort');
          await close(server);
          await until(() => [ours, theirs].every(({ engineStats }) => engineStats().paused === 0));
        }
      });
    }
  });
}

it('a copy in a realm of its own serves with its keys, and ours with ours', async () => {
  const program = fileURLToPath(new URL('../helpers/another-realm.js', import.meta.url));
  const { stdout, stderr } = await run(process.execPath, ['--experimental-vm-modules', program], {
    input: issued.certPem + issued.keyPem,
  });
  const visits = ['TLSv1.2', 'TLSv1.3', 'TLSv1.3'];
  const elsewhere = new Array(3).fill('TLSv1.3 WANT_SIGN');
  const all = [...visits, ...visits, ...visits, ...elsewhere, 'another'];
  assert.deepEqual(stdout.trim().split('\n'), all, stderr);
});

/**
 * Servers with leased ticket keys resume each other's sessions by the rules of the contexts that they serve with: not by those of a
 * context that could not be made, nor by what became of an option since.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { SecureVersion, Server } from 'node:tls';
import {
  createServer,
  leaseTicketKeys,
  localKey,
  type TicketLease,
  type TlsOptions,
} from '../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { makePfx } from '../helpers/pfx.ts';
import { comeBack } from '../helpers/returning-client.ts';
import { isIssuedIn, TicketSource } from '../helpers/ticket-source.ts';

let sites: Authority;
let clients: Authority;
let site: Issued;
let visitor: Issued;
const servers: Server[] = [];

before(async () => {
  [sites, clients] = await Promise.all([makeAuthority('Sites'), makeAuthority('Clients')]);
  [site, visitor] = await Promise.all([
    sites.issue({ type: 'p256' }),
    clients.issue({ type: 'p256', usage: 'client' }),
  ]);
});
after(() => Promise.all(servers.map(close)));

interface Edge {
  readonly server: Server;
  readonly port: number;
  readonly lease: TicketLease;
  /** The lease asks for other keys, and the server gets them. */
  readonly renew: () => Promise<void>;
}

/** An edge that asks for certificates. @param context what is set before it listens */
async function edge(options: TlsOptions = {}, context?: object, source = new TicketSource()): Promise<Edge> {
  const clock = new ManualClock();
  const server = createServer(
    { cert: site.certPem, key: localKey(site.keyPem), requestCert: true, ...options },
    (socket) => socket.end('x'),
  );
  server.on('tlsClientError', () => undefined);
  const lease = leaseTicketKeys(source, { clock });
  lease.use(server);
  await lease.ready();
  if (context !== undefined) server.setSecureContext(context);
  servers.push(server);
  const renew = async () => {
    clock.advance(source.periodMs * 0.3);
    await turn();
  };
  return { server, port: await listen(server), lease, renew };
}

function failToSet({ server }: Edge, options: object): void {
  assert.throws(() => server.setSecureContext({ cert: site.certPem, key: 'broken', ...options } as never));
}

for (const version of ['TLSv1.2', 'TLSv1.3'] satisfies SecureVersion[]) {
  /** A client with a certificate of the clients' authority. With TLS 1.3 its side is over before the server turns it away. */
  const visit = ({ port }: Edge, session?: Buffer) => {
    const more = { cert: visitor.certPem, key: visitor.keyPem };
    return comeBack({ port, ca: sites.certPem, version, session, more }).catch(() => undefined);
  };
  const resumes = async (from: Edge, to: Edge) => {
    const first = await visit(from);
    assert.equal(first?.heard, 'x');
    return (await visit(to, first.session))?.reused === true;
  };

  describe(`who resumes whose sessions with ${version}`, () => {
    it('is not said by a context that could not be made', async () => {
      const trusting = await edge({ ca: clients.certPem });
      const strict = await edge({ ca: sites.certPem });
      failToSet(strict, { ca: clients.certPem });
      await strict.renew();
      assert.equal(await resumes(trusting, strict), false, 'it turns that client away');
      const same = await edge({ ca: clients.certPem });
      failToSet(same, {});
      await same.renew();
      assert.equal(await resumes(trusting, same), true, 'its context is the one of before');
    });

    it("is not said by one of Node's own that could not be made, and the others get their keys", async () => {
      const source = new TicketSource();
      const ca = clients.certPem;
      const one = await edge({ ca }, { cert: site.certPem, key: site.keyPem, ca }, source);
      const two = await edge({ ca });
      assert.throws(() => one.server.setSecureContext({ cert: 'not a certificate', key: site.keyPem }));
      source.epoch = 11;
      await one.renew();
      assert.equal(one.lease.stats().failures, 0);
      assert.ok(isIssuedIn(11, (await visit(one))!.session!));
      assert.equal(await resumes(one, two), true);
    });

    it('is not said by what the app has done to an option since', async () => {
      const trusting = await edge({ ca: clients.certPem });
      const ca = [sites.certPem];
      const strict = await edge({ ca });
      ca[0] = clients.certPem;
      await strict.renew();
      assert.equal(await resumes(trusting, strict), false);
    });

    it('is said by the authorities of a PKCS#12 file as by those of `ca`', async () => {
      const passphrase = 'secret';
      const pfx = makePfx(site, passphrase, clients.certPem);
      const [plain, trusting] = [await edge(), await edge({}, { pfx, passphrase })];
      const beside = await edge({
        pfx: makePfx(await sites.issue({ type: 'rsa' }), passphrase, clients.certPem),
        passphrase,
      });
      for (const from of [trusting, beside]) {
        assert.equal(await resumes(from, plain), false, 'to a keyless context');
        assert.equal(await resumes(from, await edge({}, { cert: site.certPem, key: site.keyPem })), false);
      }
      assert.equal(await resumes(trusting, beside), true, 'they trust the same');
      const named = await edge({ ca: clients.certPem });
      const both = await edge({}, { pfx, passphrase, ca: clients.certPem });
      assert.equal(await resumes(named, both), true, 'it adds nothing');
    });

    it('is said by the security level, which decides what keys of clients may be', async () => {
      const ofLevel = (level: number, requestCert = true) =>
        edge({ ca: clients.certPem, requestCert, ciphers: `DEFAULT:@SECLEVEL=${level}` });
      const [lax, laxToo, strict] = [await ofLevel(0), await ofLevel(0), await ofLevel(2)];
      assert.equal(await resumes(lax, strict), false);
      assert.equal(await resumes(lax, laxToo), true);
      assert.equal(await resumes(await ofLevel(1, false), await ofLevel(2, false)), true, 'nobody is asked');
    });

    it('is said by pskCallback, which lets in clients without a certificate', async () => {
      const ofAll = () => edge({ ca: clients.certPem, pskCallback: () => null });
      const [knowing, knowingToo, other] = [
        await ofAll(),
        await ofAll(),
        await edge({ ca: clients.certPem }),
      ];
      assert.equal(await resumes(knowing, other), false);
      assert.equal(await resumes(other, knowing), false, 'it may know everybody whom it lets in');
      assert.equal(await resumes(knowing, knowingToo), true);
    });

    it('is said by what OpenSSL has read of `ca`', async () => {
      const one = await edge({ ca: clients.certPem + sites.certPem });
      const forms = [
        Buffer.from(`# Grüße\n${sites.certPem}${clients.certPem}${clients.certPem}`),
        [
          new DataView(new TextEncoder().encode(sites.certPem).buffer),
          clients.certPem.replaceAll('\n', '\r\n'),
        ],
      ];
      for (const ca of forms) assert.equal(await resumes(one, await edge({ ca } as never)), true);
      const others = [
        undefined,
        [],
        clients.certPem,
        `${clients.certPem} ${sites.certPem}`,
        clients.certPem + sites.certPem.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE').slice(0, -40),
      ];
      for (const ca of others) assert.equal(await resumes(one, await edge({ ca } as never)), false);
      const [nobody, everybody] = [{ ca: [] }, {}].map((ca) => edge({ ...ca, rejectUnauthorized: false }));
      assert.equal(await resumes(await nobody!, await everybody!), false, "no authority is not Node's own");
    });
  });
}

it('a server that takes no keys keeps none, others get theirs, and nobody is asked more often', async () => {
  const source = new TicketSource();
  const clock = new ManualClock();
  const lease = leaseTicketKeys(source, { clock, random: () => 0.5 });
  const [bad, good] = [1, 2].map(() => {
    const server = createServer({ cert: site.certPem, key: localKey(site.keyPem) }, (socket) =>
      socket.end('x'),
    );
    servers.push(server);
    lease.use(server);
    return server;
  }) as [Server, Server];
  await lease.ready();
  const { context } = (bad as unknown as { _sharedCreds: { context: { setSessionIdContext: unknown } } })
    ._sharedCreds;
  context.setSessionIdContext = () => {
    throw new Error('out of memory');
  };
  source.epoch = 11;
  for (let ms = 0; ms < 2500; ms += 250) {
    clock.advance(250);
    await turn();
  }
  assert.equal(source.asked, 11);
  const { state, lastError } = lease.stats();
  assert.equal(state, 'held');
  assert.match(
    lastError!.message,
    /server could not be given its ticket keys, and has none: .*out of memory/,
  );
  const ca = sites.certPem;
  const sessionOf = async (server: Server) =>
    (await comeBack({ port: await listen(server), ca, version: 'TLSv1.3' })).session!;
  assert.ok(isIssuedIn(11, await sessionOf(good)));
  const ofBad = await sessionOf(bad);
  for (const epoch of [10, 11]) assert.ok(!isIssuedIn(epoch, ofBad), `not of epoch ${epoch}`);
  lease.close();
});

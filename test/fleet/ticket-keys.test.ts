/** Leased ticket keys in servers: who resumes whose sessions, with which key, and who does not. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import nodeTls, { type SecureVersion, type Server } from 'node:tls';
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
import { comeBack, firstVisit, type Return, type Returned } from '../helpers/returning-client.ts';
import { isIssuedIn, TicketSource } from '../helpers/ticket-source.ts';

let authority: Authority;
let issued: Issued;
let other: Issued;
let visitor: Issued;
let crl: string;
const servers: Server[] = [];

before(async () => {
  authority = await makeAuthority();
  [issued, other, visitor, crl] = await Promise.all([
    authority.issue({ type: 'p256' }),
    authority.issue({ type: 'p256' }),
    authority.issue({ type: 'p256', usage: 'client' }),
    authority.revoke([]),
  ]);
});
after(() => Promise.all(servers.map(close)));

/** An edge, with a lease of its own. */
interface Edge {
  readonly server: Server;
  readonly port: number;
  readonly lease: TicketLease;
  readonly clock: ManualClock;
  readonly operations: () => number;
}

async function edge(source: TicketSource, more: TlsOptions = {}, label?: string): Promise<Edge> {
  let operations = 0;
  const clock = new ManualClock();
  const key = localKey(issued.keyPem);
  const counted = {
    ...key,
    sign: (operation: Parameters<typeof key.sign>[0]) => {
      operations += 1;
      return key.sign(operation);
    },
  };
  const server = createServer({ cert: issued.certPem, key: counted, ...more }, (socket) => socket.end('x'));
  server.on('tlsClientError', () => undefined);
  const lease = leaseTicketKeys(source, { clock, label });
  lease.use(server);
  await lease.ready();
  servers.push(server);
  return { server, port: await listen(server), lease, clock, operations: () => operations };
}

const VERSIONS: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3'];

/** An edge whose server uses another lease, the first of which was closed behind that. */
async function replacedLease() {
  const source = new TicketSource();
  const one = await edge(source);
  const next = leaseTicketKeys(source, { clock: one.clock });
  await next.ready();
  next.use(one.server);
  one.lease.close();
  return { one, next };
}

/** A client that goes to one edge and comes back to the other. */
async function goBetween(from: Edge, to: Edge, version: SecureVersion, more = {}): Promise<Returned> {
  const goal = { ca: authority.certPem, version, more };
  const session = await firstVisit({ ...goal, port: from.port });
  return comeBack({ ...goal, port: to.port, session });
}

for (const version of VERSIONS) {
  const goal = (to: Edge, session?: Buffer): Return => ({
    port: to.port,
    ca: authority.certPem,
    version,
    session,
  });

  describe(`leased ticket keys with ${version}`, () => {
    it('let a session resume on another edge, without an operation', async () => {
      const source = new TicketSource();
      const [one, two] = [await edge(source), await edge(source)];
      assert.equal((await goBetween(one, two, version)).reused, true);
      assert.deepEqual([one.operations(), two.operations()], [1, 0]);
    });

    it('are accepted for two epochs after their own, and the next ticket is of the current epoch', async () => {
      const source = new TicketSource();
      const old = await edge(source);
      const session = await firstVisit(goal(old));
      assert.ok(isIssuedIn(10, session));
      for (const [epoch, reused] of [
        [11, true],
        [12, true],
        [13, false],
      ] as const) {
        source.epoch = epoch;
        const again = await comeBack(goal(await edge(source), session));
        assert.equal(again.reused, reused, `in epoch ${epoch}`);
        assert.ok(isIssuedIn(epoch, again.session!), `in epoch ${epoch}`);
      }
    });

    it('are accepted from an edge whose key server is ahead by an epoch', async () => {
      const source = new TicketSource();
      const behind = await edge(source);
      source.epoch = 11;
      assert.equal((await goBetween(await edge(source), behind, version)).reused, true);
    });

    it('rotate while the server runs and nobody gives new ones, and end with the lease', async () => {
      const source = new TicketSource();
      const one = await edge(source);
      source.error = new Error('no key server');
      const first = await firstVisit(goal(one));
      one.clock.advance(400);
      const second = await comeBack(goal(one, first));
      assert.deepEqual([second.reused, isIssuedIn(11, second.session!)], [true, true]);
      one.clock.advance(599);
      assert.equal((await comeBack(goal(one, first))).reused, true);
      one.clock.advance(1);
      const ended = await comeBack(goal(one, first));
      assert.equal(ended.reused, false, 'accepts none');
      for (const epoch of [8, 9, 10, 11]) assert.ok(!isIssuedIn(epoch, ended.session!), 'issues none');
      assert.equal((await comeBack(goal(one, ended.session))).reused, false, 'falls back to no other key');
    });

    it('come back with the next answer', async () => {
      const source = new TicketSource();
      const one = await edge(source);
      const session = await firstVisit(goal(one));
      source.error = new Error('no key server');
      one.clock.advance(1000);
      await turn();
      assert.equal((await comeBack(goal(one, session))).reused, false);
      source.error = undefined;
      one.clock.advance(1000);
      await turn();
      assert.equal((await comeBack(goal(one, session))).reused, true);
    });

    it('stay with the server when it gets another context', async () => {
      const source = new TicketSource();
      const [one, two] = [await edge(source), await edge(source)];
      const options = { cert: issued.certPem, key: localKey(issued.keyPem) };
      two.server.setSecureContext(options as never);
      assert.equal((await goBetween(one, two, version)).reused, true);
    });

    it("stay with the server also where its next context has keys of Node's own", async () => {
      const source = new TicketSource();
      const [keyless, one, two, elsewhere] = [
        await edge(source),
        await edge(source),
        await edge(source),
        await edge(source),
      ];
      const { certPem: cert, keyPem: key } = issued;
      one.server.setSecureContext({ cert, key });
      two.server.setSecureContext({ pfx: makePfx(issued, 'secret'), passphrase: 'secret' });
      elsewhere.server.setSecureContext({ cert: other.certPem, key: other.keyPem });
      for (const to of [keyless, one, two])
        assert.equal((await goBetween(one, to, version)).reused, true, 'the same key, wherever it is');
      assert.equal((await goBetween(one, elsewhere, version)).reused, false, 'another key');
      source.epoch = 11;
      one.clock.advance(400);
      await turn();
      const session = await firstVisit(goal(one));
      assert.ok(isIssuedIn(11, session), 'the keys change');
      one.lease.close();
      assert.equal((await comeBack(goal(one, session))).reused, false, 'and go with the lease');
      const after = await firstVisit(goal(one));
      assert.equal((await comeBack(goal(one, after))).reused, false, "no keys of Node's");
    });

    it('are those of the lease that was used last, whichever is closed', async () => {
      const { one, next } = await replacedLease();
      assert.equal((await goBetween(one, one, version)).reused, true, 'one is closed that was used before');
      one.server.setSecureContext({ cert: issued.certPem, key: localKey(issued.keyPem) } as never);
      assert.equal((await goBetween(one, one, version)).reused, true, 'and there is another context');
      next.close();
      assert.equal((await goBetween(one, one, version)).reused, false, 'it is closed itself');
    });

    it('go with the lease that was used last when the server listens again', async () => {
      const { one, next } = await replacedLease();
      await close(one.server);
      const again = { ...one, port: await listen(one.server) };
      assert.equal((await goBetween(again, again, version)).reused, true);
      next.close();
    });

    it('hold for names of their own (SNI)', async () => {
      const source = new TicketSource();
      const [one, two] = [await edge(source), await edge(source)];
      for (const { server } of [one, two]) {
        server.addContext('localhost', { cert: other.certPem, key: localKey(other.keyPem) } as never);
      }
      assert.equal((await goBetween(one, two, version)).reused, true);
    });

    it('do not let a session without a client certificate in where one is asked for', async () => {
      const source = new TicketSource();
      const rules = { requestCert: true, ca: authority.certPem };
      const [open, strict, same] = [await edge(source), await edge(source, rules), await edge(source, rules)];
      const lax = await edge(source, { ...rules, rejectUnauthorized: false });
      let authorized: boolean | undefined;
      lax.server.on('secureConnection', (socket) => {
        authorized = socket.authorized;
      });
      assert.deepEqual([(await goBetween(open, lax, version)).reused, authorized], [false, false]);
      const asksNobody = { ca: authority.certPem, rejectUnauthorized: false };
      assert.equal((await goBetween(await edge(source, asksNobody), lax, version)).reused, false);
      // With TLS 1.3 the client's side is over before the server turns it away.
      const enters = async (from: Edge) =>
        (await goBetween(from, strict, version).catch(() => undefined))?.reused === true;
      assert.deepEqual([await enters(open), await enters(lax)], [false, false]);
      const more = { cert: visitor.certPem, key: visitor.keyPem };
      assert.equal((await goBetween(strict, same, version, more)).reused, true);
      const others = await edge(source, { ...rules, ca: [authority.certPem, other.certPem] });
      assert.equal((await goBetween(strict, others, version, more)).reused, false, 'another authority');
      const [listed, listedToo] = [
        await edge(source, { ...rules, crl }),
        await edge(source, { ...rules, crl }),
      ];
      assert.equal((await goBetween(strict, listed, version, more)).reused, false, 'a list of those revoked');
      assert.equal((await goBetween(listed, listedToo, version, more)).reused, true, 'the same list');
    });

    it('join servers that trust the same authorities, in whatever form the options name them', async () => {
      const source = new TicketSource();
      const text = authority.certPem + other.certPem;
      const one = await edge(source, { requestCert: true, ca: text, crl });
      const list = [Buffer.from(other.certPem), `# ours\n${authority.certPem}`];
      const two = await edge(source, { requestCert: true, ca: list, crl });
      const more = { cert: visitor.certPem, key: visitor.keyPem };
      assert.equal((await goBetween(one, two, version, more)).reused, true);
    });

    it('do not join servers with other labels or other keys', async () => {
      const source = new TicketSource();
      const [one, labelled] = [await edge(source), await edge(source, {}, 'admin')];
      const elsewhere = await edge(source, { cert: other.certPem, key: localKey(other.keyPem) });
      assert.equal((await goBetween(one, labelled, version)).reused, false);
      assert.equal((await goBetween(one, elsewhere, version)).reused, false);
      assert.equal((await goBetween(labelled, await edge(source, {}, 'admin'), version)).reused, true);
    });

    it('do nothing to a server that does not use them', async () => {
      const source = new TicketSource();
      const one = await edge(source);
      const plain = createServer({ cert: issued.certPem, key: localKey(issued.keyPem) }, (socket) =>
        socket.end('x'),
      );
      const port = await listen(plain);
      servers.push(plain);
      const session = await firstVisit({ ...goal(one), port });
      assert.equal((await comeBack({ ...goal(one, session), port })).reused, true, 'its own key');
      assert.equal((await comeBack(goal(one, session))).reused, false);
    });

    it('end with the lease also in a server that has closed and listens again', async () => {
      const source = new TicketSource();
      const one = await edge(source);
      const session = await firstVisit(goal(one));
      await close(one.server);
      const again = { ...one, port: await listen(one.server) };
      const resumed = await comeBack(goal(again, session));
      assert.deepEqual([resumed.reused, isIssuedIn(10, resumed.session!)], [true, true]);
      source.error = new Error('no key server');
      one.clock.advance(1000);
      assert.equal((await comeBack(goal(again, resumed.session))).reused, false);
      one.lease.close();
      await close(one.server);
      const { reused } = await comeBack(goal({ ...one, port: await listen(one.server) }, resumed.session));
      assert.equal(reused, false);
    });

    it('are given up by a server that closes, and by one that gets another context after the lease was closed', async () => {
      const source = new TicketSource();
      const one = await edge(source);
      const session = await firstVisit(goal(one));
      await close(one.server);
      // Nobody listens: it takes what another server hands on.
      const front = net.createServer((socket) => one.server.emit('connection', socket));
      servers.push(front as Server);
      const handed = { ...one, port: await listen(front as Server) };
      assert.equal((await comeBack(goal(handed, session))).reused, false);
      one.lease.close();
      one.server.setSecureContext({
        cert: issued.certPem,
        key: localKey(issued.keyPem),
      } as never);
      const after = await firstVisit(goal(handed));
      assert.equal((await comeBack(goal(handed, after))).reused, false, 'no keys of its own');
    });

    it('go with close()', async () => {
      const one = await edge(new TicketSource());
      const session = await firstVisit(goal(one));
      one.lease.close();
      assert.equal((await comeBack(goal(one, session))).reused, false);
      assert.throws(() => one.lease.use(one.server), { code: 'ERR_KEYLESS_CLOSED' });
    });
  });
}

it('a server without a keyless key cannot use them', () => {
  const lease = leaseTicketKeys(new TicketSource(), { clock: new ManualClock() });
  const native = nodeTls.createServer({ cert: issued.certPem, key: issued.keyPem });
  for (const none of [native, undefined, null])
    assert.throws(() => lease.use(none as never), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
  lease.close();
});

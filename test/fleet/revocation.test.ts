/**
 * A fleet of three edges and two key servers, which have an address each, or are behind one; and what becomes of an edge that
 * is revoked.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import type { SecureVersion } from 'node:tls';
import { promisify } from 'node:util';
import { Balancer } from '../helpers/balancer.ts';
import { type Fleet, type FleetEdge, makeFleet } from '../helpers/fleet.ts';
import { comeBack, firstVisit } from '../helpers/returning-client.ts';
import { MAIN } from '../helpers/serve-process.ts';
import { stopwatch } from '../helpers/stopwatch.ts';

const run = promisify(execFile);
const PERIOD_MS = 5000;
/** How late it is told of. A lease of two periods would last 8.5 s: it is renewed after three tenths of its period. */
const LATE_MS = 1000;
const VERSIONS: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3'];

let fleet: Fleet;
let edges: FleetEdge[];

const goal = (edge: FleetEdge, version: SecureVersion, session?: Buffer) => ({
  port: edge.port,
  ca: fleet.setup.authority.certPem,
  version,
  session,
});

/** Whether a visit resumed; `undefined`: the handshake failed. */
async function resumes(
  edge: FleetEdge,
  version: SecureVersion,
  session?: Buffer,
): Promise<boolean | undefined> {
  return comeBack(goal(edge, version, session)).then(
    ({ reused }) => reused,
    () => undefined,
  );
}

/** Resolves when the lease of an edge is as wanted, at the latest when it renews, fails or ends. */
function leaseIs(wanted: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const check = () => {
      if (!wanted()) return;
      unsubscribe('keyless-tls:fleet:lease', check);
      resolve();
    };
    subscribe('keyless-tls:fleet:lease', check);
    check();
  });
}

function behindOneAddress(): Promise<Balancer> {
  return Balancer.start(fleet.addresses.map((address) => Number(address.split(':')[1])));
}

for (const where of ['an address each', 'one address'] as const) {
  describe(`key servers with ${where}`, () => {
    let balancer: Balancer | undefined;

    before(async () => {
      fleet = await makeFleet(3, 2, ['--ticket-period', String(PERIOD_MS / 1000)]);
      if (where === 'one address') balancer = await behindOneAddress();
      edges = await fleet.edges(balancer && [balancer.address]);
    });
    after(async () => {
      await fleet.close();
      await balancer?.close();
    });

    test('edges have connections to both', () => {
      for (const serve of fleet.keyServers) {
        const connected = serve.events.filter(({ event }) => event === 'connected');
        assert.ok(connected.length > 0);
      }
    });

    test('every edge resumes the sessions of every other, whichever key server gave it its keys', async () => {
      for (const version of VERSIONS) {
        for (const from of edges) {
          const session = await firstVisit(goal(from, version));
          for (const to of edges) assert.equal(await resumes(to, version, session), true, version);
        }
      }
    });

    test('an edge that is revoked signs nothing within a second, and resumes nothing within the epoch, nor do others resume its sessions', async () => {
      const [one, two, revoked] = edges as [FleetEdge, FleetEdge, FleetEdge];
      // Under keys that the revoked one has.
      const sessions = new Map<SecureVersion, Buffer>();
      for (const version of VERSIONS) sessions.set(version, await firstVisit(goal(one, version)));
      const path = fleet.files.path('revoked.crt');
      writeFileSync(path, revoked.certificate.certPem);
      await run(process.execPath, [MAIN, 'revoke', '--policy', fleet.policy, path]);
      const took = stopwatch();
      const isRevoked = ({ edge }: Record<string, unknown>) => edge === 'CN=edge 2';
      // Behind one address, both of its connections may have gone to one of them.
      const connected = fleet.keyServers.filter(({ events }) =>
        events.some((each) => each.event === 'connected' && isRevoked(each)),
      );
      assert.ok(connected.length > 0);
      await Promise.all(connected.map((serve) => serve.event('disconnected', isRevoked)));
      const ms = took();
      assert.ok(ms < 1000, `${ms} ms`);
      // A lease that was renewed until then lasts one period longer.
      const outlived = stopwatch();

      const renewals = [one, two].map(({ lease }) => lease.stats().renewals);
      for (const version of VERSIONS) {
        assert.equal(await resumes(revoked, version), undefined, 'no full handshake');
        assert.equal(await resumes(one, version), false, 'the others go on');
      }
      await leaseIs(() => revoked.lease.stats().state === 'ended');
      const outlivedMs = outlived();
      assert.ok(outlivedMs < PERIOD_MS + LATE_MS, `${outlivedMs} ms`);
      await leaseIs(() => [one, two].every(({ lease }, at) => lease.stats().renewals > renewals[at]!));
      for (const [version, session] of sessions) {
        assert.equal(await resumes(revoked, version, session), undefined, 'it resumes nothing');
        assert.equal(await resumes(two, version, session), false, 'what it could have known opens nowhere');
        const fresh = await firstVisit(goal(one, version));
        assert.equal(await resumes(two, version, fresh), true, 'the fleet has other keys');
        assert.equal(await resumes(revoked, version, fresh), undefined, 'which it does not know');
      }
    });
  });
}

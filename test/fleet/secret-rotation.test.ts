/** The secret of the tickets is changed as docs/operations.md says, under load, on two key servers and two edges. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { SecureVersion } from 'node:tls';
import { type Fleet, type FleetEdge, makeFleet } from '../helpers/fleet.ts';
import { comeBack, firstVisit } from '../helpers/returning-client.ts';

const VERSIONS: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3'];
/** Seconds; edges renew after a quarter. */
const PERIOD = 8;

let fleet: Fleet;
let edges: FleetEdge[];

before(async () => {
  fleet = await makeFleet(2, 2, ['--ticket-period', String(PERIOD)]);
  edges = await fleet.edges();
});
after(() => fleet.close());

const goal = (edge: FleetEdge, version: SecureVersion, session?: Buffer) => ({
  port: edge.port,
  ca: fleet.setup.authority.certPem,
  version,
  session,
});

/** Resolves when every edge has asked for its keys once more, from now on. */
function allRenewed(): Promise<void> {
  const before = edges.map(({ lease }) => lease.stats().renewals);
  return new Promise((resolve) => {
    const check = () => {
      if (!edges.every(({ lease }, at) => lease.stats().renewals > before[at]!)) return;
      unsubscribe('keyless-tls:fleet:lease', check);
      resolve();
    };
    subscribe('keyless-tls:fleet:lease', check);
  });
}

const idOf = async (at: number) => (await fleet.keyServers[at]!.event('ticket-keys')).id;

test('a new secret: no handshake fails, old sessions become full handshakes once, and then resume on every edge again', async () => {
  const [one, two] = edges as [FleetEdge, FleetEdge];
  const old = await Promise.all(VERSIONS.map((version) => firstVisit(goal(one, version))));
  for (const [at, version] of VERSIONS.entries())
    assert.equal((await comeBack(goal(two, version, old[at]))).reused, true, 'before');
  const oldId = await idOf(0);

  let isOver = false;
  let visits = 0;
  // Each comes back to the other edge, with the session it got last; that fails where a handshake does.
  const clients = VERSIONS.map(async (version) => {
    for (let session: Buffer | undefined; !isOver; visits += 1)
      ({ session } = await comeBack(goal(edges[visits % 2]!, version, session)));
  });
  writeFileSync(fleet.files.path('ticket.secret'), 'another secret for tests, of some length', {
    mode: 0o600,
  });
  await fleet.restart(0);
  await fleet.restart(1);
  assert.equal(await idOf(0), await idOf(1));
  assert.notEqual(await idOf(0), oldId);
  await allRenewed();
  isOver = true;
  await Promise.all(clients);
  assert.ok(visits > 20, `${visits}`);
  for (const { keys } of edges) assert.equal(keys.stats().failed, 0);

  for (const [at, version] of VERSIONS.entries()) {
    const back = await comeBack(goal(two, version, old[at]));
    assert.equal(back.reused, false, 'what the old secret made opens nowhere');
    assert.equal((await comeBack(goal(one, version, back.session))).reused, true, 'and then it resumes');
  }
});

/** Resumption while no key server can be reached. */
import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
import { after, before, test } from 'node:test';
import type { SecureVersion } from 'node:tls';
import { type Fleet, type FleetEdge, makeFleet } from '../helpers/fleet.ts';
import { comeBack, firstVisit } from '../helpers/returning-client.ts';

const VISITS = 50;
const VERSIONS: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3'];

let fleet: Fleet;
let edges: FleetEdge[];

before(async () => {
  fleet = await makeFleet(2, 2);
  edges = await fleet.edges();
});
after(() => fleet.close());

test('with all key servers gone every session resumes on every edge, without an operation', async () => {
  const [one, two] = edges as [FleetEdge, FleetEdge];
  const goal = (edge: FleetEdge, version: SecureVersion) => ({
    port: edge.port,
    ca: fleet.setup.authority.certPem,
    version,
  });
  const sessions = await Promise.all(VERSIONS.map((version) => firstVisit(goal(one, version))));
  for (const { child } of fleet.keyServers) child.kill('SIGKILL');
  await Promise.all(fleet.keyServers.map(({ ended }) => ended));
  let operations = 0;
  subscribe('keyless-tls:operation:start', () => {
    operations += 1;
  });
  await Promise.all(
    VERSIONS.map(async (version, at) => {
      let session = sessions[at]!;
      for (let visit = 0; visit < VISITS; visit += 1) {
        const back = await comeBack({ ...goal(visit % 2 === 0 ? two : one, version), session });
        assert.equal(back.reused, true, `visit ${visit}, ${version}`);
        session = back.session!;
      }
    }),
  );
  assert.equal(operations, 0);
  await assert.rejects(comeBack(goal(one, 'TLSv1.3')), 'a new client needs one');
});

/** A canary: the parity harness notices what it is there for. */
import assert from 'node:assert/strict';
import { before, it } from 'node:test';
import { type Issued, makeAuthority } from './certificates.ts';
import { close, converse, listen } from './connections.ts';
import { REMOTE_SIDES, type Scenario, sideNamed, tellsTheSame } from './parity.ts';

let issued: Issued;
let ca: string;

before(async () => {
  const authority = await makeAuthority();
  ca = authority.certPem;
  issued = await authority.issue({ type: 'p256' });
});

/** @param extra what a server with a remote key does differently */
function scenario(extra: (native: boolean) => object): Scenario {
  return async (side) => {
    const options = { cert: issued.certPem, key: side.key(issued), ...extra(side.mode === 'native') };
    const server = side.tls.createServer(options);
    const story = await converse(side, server, await listen(server), { client: { ca } });
    await close(server);
    return story;
  };
}

for (const name of REMOTE_SIDES) {
  it(`parity passes what is equal and fails what differs: ${name}`, async () => {
    const same = scenario(() => ({}));
    const native = await same(await sideNamed('native'));
    await tellsTheSame(same, name, native, 1);
    await assert.rejects(tellsTheSame(same, name, native, 0), /private-key operations/);
    const other = scenario((isNative) => (isNative ? {} : { maxVersion: 'TLSv1.2' }));
    await assert.rejects(tellsTheSame(other, name, native), /TLSv1\.2/);
  });
}

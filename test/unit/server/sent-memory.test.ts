/** The memory of what clients send beside their certificate. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeKeyServers } from '../../helpers/key-servers.ts';
import { connector, isServed, selfMadeOnes } from '../../helpers/sent-certificates.ts';

for (const how of ['served', 'turned away']) {
  test(`whoever is ${how} and comes again and again leaves no memory taken`, async () => {
    const setup = await makeKeyServers(['p256']);
    const crl = await setup.authority.revoke([]);
    const server = await setup.start(how === 'served' ? { crl } : { crl, grants: { clients: [] } });
    const connect = connector(setup, server.port, selfMadeOnes(30));
    const come = async (times: number) => {
      for (let time = 0; time < times; time += 1) {
        const peer = await connect();
        assert.equal(await isServed(peer), how === 'served');
        peer.close();
        await peer.closed;
      }
      return process.memoryUsage.rss();
    };
    // Lost, they are 250 KB of each connection.
    const mebibytes = (-(await come(30)) + (await come(100))) / 1_048_576;
    await server.close();
    assert.ok(mebibytes < 12, `${mebibytes} MiB`);
  });
}

/** By which groups clients of `keyless-tls proxy` agree with it: any stranger may choose among those that it takes. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import { CHEAP_GROUPS, COSTLY_GROUPS, groupAgreedOn } from '../helpers/key-agreement.ts';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

let folder: HostsFolder;
let proxy: ProxyProcess;
let backend: Server;

before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['www.test']);
  backend = createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
  const url = `tcp://127.0.0.1:${await portOf(backend)}`;
  proxy = new ProxyProcess(folder, ['--backend', url, '--default-host', 'www']);
});
after(async () => {
  assert.equal(await proxy.end(), 0);
  backend.close();
  folder.remove();
});

for (const [what, servername] of [
  ['that names its host', 'www.test'],
  ['that names none', ''],
] as const) {
  test(`a client ${what} gets cheap groups and no others`, async () => {
    const options = {
      port: await proxy.port(),
      ca: folder.authority.certPem,
      servername,
      checkServerIdentity: () => undefined,
    };
    for (const [group, told] of Object.entries(CHEAP_GROUPS))
      assert.equal(await groupAgreedOn({ ...options, ecdhCurve: group }), told);
    for (const group of COSTLY_GROUPS)
      assert.match(await groupAgreedOn({ ...options, ecdhCurve: group }), /^refused: .*ALERT/, group);
  });
}

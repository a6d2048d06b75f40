/** `sshAgentKey()` as the key of a server, with Debian's ssh-agent. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { sshAgentKey } from '../../lib/keepers/ssh-agent-key.ts';
import { type KeyKind, makeAuthority } from '../helpers/certificates.ts';
import { handshakeWith } from '../helpers/one-handshake.ts';
import { SshAgentProcess } from '../helpers/ssh-agent-process.ts';

let agent: SshAgentProcess;
let authority: Awaited<ReturnType<typeof makeAuthority>>;

before(async () => {
  [authority, agent] = await Promise.all([makeAuthority(), SshAgentProcess.start()]);
});
after(() => agent.end());
beforeEach(() => agent.removeAll());

const CASES: readonly (readonly [KeyKind, 'TLSv1.2' | 'TLSv1.3'])[] = [
  ['p256', 'TLSv1.3'],
  ['p384', 'TLSv1.3'],
  ['p521', 'TLSv1.3'],
  ['ed25519', 'TLSv1.3'],
  ['rsa', 'TLSv1.2'],
];

for (const [type, protocol] of CASES) {
  test(`a server with a ${type} key in an agent speaks ${protocol}`, async () => {
    const issued = await authority.issue({ type });
    await agent.add(issued.keyPem);
    const key = sshAgentKey({ path: agent.path });
    const server = { cert: issued.certPem, key, maxVersion: protocol };
    assert.equal(await handshakeWith(authority.certPem, server), protocol);
  });
}

test('a key that is added later is found by the next handshake', async () => {
  const [one, other] = await Promise.all([
    authority.issue({ type: 'p256' }),
    authority.issue({ type: 'p256' }),
  ]);
  await agent.add(one.keyPem);
  const key = sshAgentKey({ path: agent.path });
  const server = { cert: other.certPem, key };
  assert.equal(await handshakeWith(authority.certPem, server), 'ERR_KEYLESS_KEY_STORE');
  await agent.add(other.keyPem);
  assert.equal(await handshakeWith(authority.certPem, server), 'TLSv1.3');
});

test('an agent that is not there is an error, and asked again by the next handshake', async () => {
  const issued = await authority.issue({ type: 'p256' });
  await agent.kill();
  const server = { cert: issued.certPem, key: sshAgentKey({ path: agent.path }) };
  assert.equal(await handshakeWith(authority.certPem, server), 'ERR_KEYLESS_KEY_STORE');
  await agent.restart();
  await agent.add(issued.keyPem);
  assert.equal(await handshakeWith(authority.certPem, server), 'TLSv1.3');
});

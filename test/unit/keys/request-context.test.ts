/** What key servers are told of a handshake: visitors' addresses only where somebody needs them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestContext } from '../../../lib/keys/request-context.ts';
import { signOperation } from '../../helpers/operations.ts';

const keyId = Buffer.alloc(20, 1);
const operation = {
  ...signOperation(keyId),
  servername: 'www.example.org',
  peerAddress: '192.0.2.1',
  localAddress: '198.51.100.7',
};
const named = { keyId, servername: 'www.example.org' };
const addresses = { clientAddress: '192.0.2.1', serverAddress: '198.51.100.7' };

test('ours learn no addresses, and the system is not asked for them', () => {
  const silent = Object.defineProperties(
    { ...operation },
    { peerAddress: { get: () => assert.fail() }, localAddress: { get: () => assert.fail() } },
  );
  assert.deepEqual(requestContext(silent, 'ours', false), named);
});

test('ours learn them where they are asked for, those of the field always', () => {
  assert.deepEqual(requestContext(operation, 'ours', true), { ...named, ...addresses });
  assert.deepEqual(requestContext(operation, 'field', false), { ...named, ...addresses });
});

test('of a client certificate, the client is this side', () => {
  const swapped = { clientAddress: addresses.serverAddress, serverAddress: addresses.clientAddress };
  assert.deepEqual(requestContext({ ...operation, role: 'client' }, 'field', false), {
    ...named,
    ...swapped,
  });
});

/** What key servers are told of a handshake besides its message. */
import type { Profile } from '../client/connection.ts';
import type { RequestContext } from '../protocol/request-encoder.ts';
import type { Operation } from './private-key.ts';

/**
 * @param sendAddresses also those of the TLS client and server: key servers of the field may go by them, ours need no
 *   visitor's address to sign, and asking the system for them costs as much as the rest of the request
 */
export function requestContext(
  operation: Operation,
  profile: Profile,
  sendAddresses: boolean,
): RequestContext {
  const { keyId, servername, role } = operation;
  if (profile === 'ours' && !sendAddresses) return { keyId, servername };
  const { peerAddress, localAddress } = operation;
  const isServer = role === 'server';
  return {
    keyId,
    servername,
    clientAddress: isServer ? peerAddress : localAddress,
    serverAddress: isServer ? localAddress : peerAddress,
  };
}

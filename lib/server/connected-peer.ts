/** Who is at the other end of a connection, as logs are told: of what the peer says, only what is escaped. */
import type { Socket } from 'node:net';
import type tls from 'node:tls';
import { KeylessError } from '../errors.ts';
import { ALPN_PROTOCOL } from '../protocol/opcodes.ts';
import { escapePeerText } from '../protocol/peer-text.ts';
import type { Peer } from './channels.ts';
import type { PeerIdentity } from './peer-identity.ts';

/** The socket below, which remembers its address when it is gone. */
export function rawOf(socket: tls.TLSSocket): Socket {
  return (socket as { _parent?: Socket })._parent ?? socket;
}

export function addressOf(socket: {
  remoteAddress?: string | undefined;
  remotePort?: number | undefined;
}): string {
  return `${socket.remoteAddress ?? 'unknown'} port ${socket.remotePort ?? 0}`;
}

export function peerOf(socket: tls.TLSSocket, { fingerprint }: PeerIdentity, client: string): Peer {
  return {
    address: addressOf(socket),
    subject: escapePeerText(socket.getPeerX509Certificate()?.subject ?? ''),
    client,
    fingerprint,
    profile: socket.alpnProtocol === ALPN_PROTOCOL ? 'ours' : 'field',
  };
}

/** Node says why it does not accept a certificate on the socket only, and calls the end of it a reset connection. */
export function refusalOf(error: Error, { authorizationError }: tls.TLSSocket): Error {
  if (!authorizationError) return error;
  return new KeylessError(
    'ERR_KEYLESS_CONNECTION',
    `The certificate of the client was not accepted: ${String(authorizationError)}.`,
    { cause: error },
  );
}

/** Who is at the other end of a connection, as logs are told: of what the peer says, only what is escaped. */
import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import type tls from 'node:tls';
import { KeylessError } from '../errors.ts';
import { ALPN_PROTOCOL } from '../protocol/opcodes.ts';
import { escapePeerText } from '../protocol/peer-text.ts';
import type { Peer } from './channels.ts';
import type { PeerIdentity } from './peer-identity.ts';

/** The socket below, which remembers its address when it is gone. */
export function rawOf(socket: Socket): Socket {
  return (socket as { _parent?: Socket })._parent ?? socket;
}

export function addressOf(socket: {
  remoteAddress?: string | undefined;
  remotePort?: number | undefined;
}): string {
  return `${socket.remoteAddress ?? 'unknown'} port ${socket.remotePort ?? 0}`;
}

/**
 * Not by `getPeerX509Certificate`: on a server that never frees what the client has sent beside its own certificate (Node 20 to
 * 26), so that whoever comes again and again takes all memory.
 *
 * @returns `undefined`: the client has none, or has gone
 */
export function certificateOf(socket: tls.TLSSocket): X509Certificate | undefined {
  const { raw } = (socket.getPeerCertificate() ?? {}) as Partial<tls.PeerCertificate>;
  return raw && new X509Certificate(raw);
}

/** @returns the client's certificate, and behind each the one of its issuer, by name, that it has sent or that the server knows */
export function pathOf(socket: tls.TLSSocket, most: number): readonly X509Certificate[] {
  const path: X509Certificate[] = [];
  let next: Partial<tls.DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  while (next?.raw !== undefined && path.length < most) {
    path.push(new X509Certificate(next.raw));
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  return path;
}

export function peerOf(
  socket: tls.TLSSocket,
  certificate: X509Certificate,
  { fingerprint }: PeerIdentity,
  client: string,
): Peer {
  return {
    address: addressOf(socket),
    // Its names may all be in the extension: Node 20 has no subject for that.
    subject: escapePeerText(certificate.subject ?? ''),
    client,
    fingerprint,
    profile: socket.alpnProtocol === ALPN_PROTOCOL ? 'ours' : 'field',
  };
}

/** Where the addon has ended the handshake (native/peer_limits.h), the end of the first line of what OpenSSL says. */
const ENDED_FOR = /^.*:certificate verify failed:.*:X509_V_ERR_(\w+)$/m;

/** Where Node has, the reason is on the socket only, and the error that of a connection that was reset. */
function certificateFaultOf(error: Error, { authorizationError }: tls.TLSSocket): string | undefined {
  if (authorizationError) return String(authorizationError);
  return ENDED_FOR.exec(error.message)?.[1];
}

/** @param error of a handshake */
export function refusalOf(
  error: Error,
  socket: tls.TLSSocket,
): readonly [reason: 'certificate' | 'tls', error: Error] {
  const fault = certificateFaultOf(error, socket);
  if (fault === undefined) return ['tls', error];
  const message = `The certificate of the client was not accepted: ${fault}.`;
  return ['certificate', new KeylessError('ERR_KEYLESS_CONNECTION', message, { cause: error })];
}

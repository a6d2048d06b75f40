/** By which group a client and a server agree on the secret of a connection. */
import tls from 'node:tls';

/** Those that cost a server 1 ms or less, by the names that OpenSSL takes and tells. */
export const CHEAP_GROUPS = { X25519: 'X25519', 'P-256': 'prime256v1', 'P-384': 'secp384r1' } as const;
export const COSTLY_GROUPS = ['P-521', 'X448', 'ffdhe2048', 'ffdhe3072', 'ffdhe8192'];

function groupOf(socket: tls.TLSSocket): string {
  const { type, name, size } = socket.getEphemeralKeyInfo() as tls.EphemeralKeyInfo;
  return type === 'ECDH' ? name! : `${type} ${size}`;
}

/**
 * A client without a certificate: in TLS 1.3 the server's part of the handshake is over before it is asked for one.
 *
 * @returns the group, of those that the client offers, or `refused: ` and the code of the error
 */
export async function groupAgreedOn(options: tls.ConnectionOptions): Promise<string> {
  const socket = tls.connect({ host: '127.0.0.1', ...options });
  const said = await new Promise<string>((resolve) => {
    socket.on('error', ({ code }: NodeJS.ErrnoException) => resolve(`refused: ${code}`));
    socket.on('secureConnect', () => resolve(groupOf(socket)));
  });
  socket.destroy();
  return said;
}

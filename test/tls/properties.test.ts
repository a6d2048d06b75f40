/** What an established TLSSocket says of itself, on both sides, natively and keyless. */
import { before } from 'node:test';
import type { SecureVersion, TLSSocket } from 'node:tls';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, converse, listen } from '../helpers/connections.ts';
import { parity, type Side } from '../helpers/parity.ts';

let authority: Authority;
let rsa: Issued;
let p256: Issued;
let client: Issued;

before(async () => {
  authority = await makeAuthority();
  [rsa, p256, client] = await Promise.all([
    authority.issue({ type: 'rsa' }),
    authority.issue({ type: 'p256' }),
    authority.issue({ type: 'p256', usage: 'client', cn: 'a client' }),
  ]);
});

/** Equal on both ends, and secret: what is told is whether they agree, and their lengths. */
interface Secrets {
  readonly finished: Buffer | undefined;
  readonly peerFinished: Buffer | undefined;
  readonly exported: Buffer;
}

function secretsOf(socket: TLSSocket): Secrets {
  return {
    finished: socket.getFinished() ?? undefined,
    peerFinished: socket.getPeerFinished() ?? undefined,
    exported: socket.exportKeyingMaterial(32, 'EXPORTER-test', Buffer.from('context')),
  };
}

function compare(server: Secrets, client: Secrets): Record<string, unknown> {
  return {
    lengths: [server.finished?.length, server.peerFinished?.length, client.finished?.length],
    finished: client.peerFinished?.equals(server.finished!),
    peerFinished: server.peerFinished?.equals(client.finished!),
    exported: server.exported.equals(client.exported),
  };
}

function certificateOf(socket: TLSSocket): Record<string, unknown> {
  const own = socket.getCertificate() as { fingerprint256?: string } | null;
  return {
    own: own?.fingerprint256 ?? null,
    ownX509: socket.getX509Certificate()?.fingerprint256 ?? null,
    peerX509: socket.getPeerX509Certificate()?.fingerprint256 ?? null,
    chain: (socket.getPeerCertificate(true) as { issuerCertificate?: { fingerprint256: string } })
      .issuerCertificate?.fingerprint256,
  };
}

function restOf(socket: TLSSocket): Record<string, unknown> {
  return {
    encrypted: socket.encrypted,
    authorized: socket.authorized,
    sigalgs: socket.getSharedSigalgs(),
    tls: [socket.getProtocol(), socket.getCipher(), socket.getEphemeralKeyInfo()],
    session: [socket.getSession() !== undefined, socket.getTLSTicket() !== undefined],
    family: [socket.remoteFamily, socket.remoteAddress, socket.localAddress],
    maxSendFragment: [socket.setMaxSendFragment(4096), socket.setMaxSendFragment(1)],
    renegotiationDisabled: socket.disableRenegotiation(),
    constructor: socket.constructor.name,
    own: Object.keys(socket)
      .filter((name) => !/^_?(server|ssl|handle|parent|pending|events|host|peername|sockname)/i.test(name))
      .sort(),
  };
}

async function describe(
  side: Side,
  issued: Issued,
  version: SecureVersion,
  withClient: boolean,
): Promise<unknown> {
  const server = side.tls.createServer({
    cert: issued.certPem,
    key: side.key(issued),
    ca: authority.certPem,
    requestCert: withClient,
    rejectUnauthorized: withClient,
  });
  const port = await listen(server);
  const told: Record<string, unknown> = {};
  let ofServer: Secrets | undefined;
  await converse(side, server, port, {
    client: {
      ca: authority.certPem,
      maxVersion: version,
      ...(withClient ? { cert: client.certPem, key: side.key(client) } : {}),
    },
    onServer(socket) {
      ofServer = secretsOf(socket);
      told.server = [certificateOf(socket), restOf(socket)];
    },
    onClient(socket) {
      socket.once('data', () => {
        told.client = [certificateOf(socket), restOf(socket)];
        told.agreement = compare(ofServer!, secretsOf(socket));
      });
    },
  });
  await close(server);
  return told;
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  for (const type of ['rsa', 'p256'] as const) {
    for (const withClient of [false, true]) {
      const and = withClient ? ' and a client certificate' : '';
      parity(`${version}, ${type}${and}: what the sockets say of themselves`, (side) =>
        describe(side, type === 'rsa' ? rsa : p256, version, withClient),
      );
    }
  }
}

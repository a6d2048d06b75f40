/**
 * A process with a TLS server whose certificate is chosen by callbacks, and with handlers that throw in what Node does within them:
 * `node throwing-in-callback.js native|sync|delayed`. It tells what was uncaught and what came of the connection, as JSON.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import nodeTls, { type SecureVersion, type Server, type TlsOptions } from 'node:tls';
import { makeAuthority } from './certificates.ts';
import { close } from './connections.ts';
import { duplexPair } from './duplex-pair.ts';
import { keyOf, tls } from './process-side.ts';

const authority = await makeAuthority();
const issued = await authority.issue({ type: 'p256' });

let story: string[] = [];
process.on('uncaughtException', ({ message }) => story.push(`uncaught: ${message}`));

type PutOff = (work: () => void) => void;

/** When the SNICallback calls back. */
const WHEN: Readonly<Record<string, PutOff>> = {
  'at once': (work) => work(),
  'in a tick': (work) => process.nextTick(work),
  'in a later turn': (work) => setImmediate(work),
};

/** Which of the lines that a server logs its listener throws for: V8 forgets some exceptions, by what comes after them. */
const THROWS: Readonly<Record<string, (line: string, at: number) => boolean>> = {
  'the first line': (_line, at) => at === 0,
  'the last line of a flight': (line) => line.startsWith('SERVER_TRAFFIC_SECRET_0'),
  'every line': () => true,
};

/** @param port `undefined`: over a stream in JavaScript */
function connect(server: Server, port: number | undefined, maxVersion: SecureVersion) {
  const options = {
    ca: authority.certPem,
    servername: 'localhost',
    requestOCSP: true,
    ALPNProtocols: ['a'],
    maxVersion,
  };
  if (port !== undefined) return nodeTls.connect({ ...options, port, host: '127.0.0.1' });
  const [ours, theirs] = duplexPair();
  server.emit('connection', ours);
  return nodeTls.connect({ ...options, socket: theirs });
}

interface Visit {
  readonly options?: TlsOptions;
  readonly version?: SecureVersion;
  readonly overStream?: boolean;
  prepare?(server: Server): void;
}

async function visit({ options, version = 'TLSv1.3', overStream, prepare }: Visit): Promise<string[]> {
  story = [];
  const mine = story;
  const server = tls.createServer({ cert: issued.certPem, key: keyOf(issued), ...options });
  prepare?.(server);
  const served = new Promise<void>((resolve) => {
    server.on('tlsClientError', ({ code, message }: NodeJS.ErrnoException) => {
      mine.push(`tlsClientError: ${code ?? message}`);
      resolve();
    });
    server.on('secureConnection', (socket) => {
      mine.push('secure');
      socket.on('error', ({ message }) => mine.push(`error: ${message}`)).end();
      resolve();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = connect(server, overStream ? undefined : (server.address() as AddressInfo).port, version);
  client.on('error', () => undefined).resume();
  await served;
  client.destroy();
  await close(server);
  // What is uncaught is told by then.
  await new Promise(setImmediate);
  return mine;
}

function throwingIn(throws: (line: string, at: number) => boolean, server: Server): void {
  let lines = 0;
  server.on('keylog', (line: Buffer) => {
    const at = lines;
    lines += 1;
    if (throws(line.toString(), at)) throw new Error(`line ${at}`);
  });
}

const told: Record<string, unknown> = {};
for (const [which, throws] of Object.entries(THROWS)) {
  const prepare = (server: Server) => throwingIn(throws, server);
  for (const [when, putOff] of Object.entries(WHEN)) {
    const options: TlsOptions = { SNICallback: (_name, done) => putOff(() => done(null)) };
    told[`keylog throws for ${which}, SNICallback calls back ${when}`] = await visit({ options, prepare });
  }
  told[`keylog throws for ${which}, OCSPRequest is answered in a later turn`] = await visit({
    prepare(server) {
      prepare(server);
      server.on('OCSPRequest', (_cert, _issuer, done) => setImmediate(done, null, null));
    },
  });
}
const SNICallback: TlsOptions['SNICallback'] = (_name, done) => setImmediate(done, null);
told['ALPNCallback throws, SNICallback calls back in a later turn'] = await visit({
  version: 'TLSv1.2',
  options: {
    SNICallback,
    ALPNCallback() {
      throw new Error('of the ALPNCallback');
    },
  },
});
const overStream = await visit({
  options: { SNICallback },
  overStream: true,
  prepare: (server) => throwingIn(THROWS['the first line']!, server),
});
process.stdout.write(JSON.stringify({ told, overStream }));

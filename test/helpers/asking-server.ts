/**
 * A process whose TLS callbacks put something off, or throw: `node asking-server.js native|sync|delayed`. It tells what became of
 * each connection, as JSON.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { ConnectionOptions, SecureVersion, Server, TLSSocket, TlsOptions } from 'node:tls';
import { makeAuthority } from './certificates.ts';
import { close } from './connections.ts';
import { keyOf, tls } from './process-side.ts';

const authority = await makeAuthority();
const [issued, ofClient] = await Promise.all([
  authority.issue({ type: 'rsa' }),
  authority.issue({ type: 'p256', usage: 'client' }),
]);
const psk = Buffer.alloc(32, 1);

/** What both ends tell. */
interface Story {
  server: string[];
  client: string[];
}
let story: Story = { server: [], client: [] };
process.on('uncaughtException', ({ message }) => story.server.push(`uncaught ${message}`));

/** Is called in the callback that is looked at, with the socket whose callback it is. */
type Act = (socket: TLSSocket) => void;
/** Options of a server, and of a client, whose own socket `client` returns later. */
type Callback = (act: Act, client: () => TLSSocket) => readonly [object, object];

const RSA_PSK = { ciphers: 'RSA-PSK-AES128-GCM-SHA256' };

const ofAlpn: Callback = (act) => [
  {
    ALPNCallback(this: TLSSocket, { protocols }: { protocols: string[] }) {
      act(this);
      return protocols[0];
    },
  },
  { ALPNProtocols: ['a'] },
];

const CALLBACKS: Readonly<Record<string, Callback>> = {
  ALPNCallback: ofAlpn,
  'ALPNCallback within the callback of an SNICallback': (act, client) => {
    const [server, ...others] = ofAlpn(act, client);
    const SNICallback: TlsOptions['SNICallback'] = (_name, done) =>
      setTimeout(() => {
        done(null);
        story.server.push('called back');
      }, 2);
    return [{ ...server, SNICallback }, ...others];
  },
  "a server's pskCallback": (act) => [
    {
      ...RSA_PSK,
      pskCallback: (socket: TLSSocket) => {
        act(socket);
        return psk;
      },
    },
    { ...RSA_PSK, pskCallback: () => ({ psk, identity: 'me' }) },
  ],
  "a client's pskCallback": (act, client) => [
    { ...RSA_PSK, pskCallback: () => psk, requestCert: true, ca: authority.certPem },
    {
      ...RSA_PSK,
      cert: ofClient.certPem,
      key: keyOf(ofClient),
      pskCallback: () => {
        act(client());
        return { psk, identity: 'me' };
      },
    },
  ],
};

const tellTo = (log: string[]) => (error: NodeJS.ErrnoException) => log.push(error.code ?? error.message);

function watchServer(server: Server, log: string[]): Promise<void> {
  return new Promise((resolve) => {
    server.on('keylog', () => log.push('keylog')).on('tlsClientError', tellTo(log));
    server.on('tlsClientError', () => resolve());
    server.on('secureConnection', (socket) => {
      log.push('secureConnection');
      socket.on('error', tellTo(log)).on('close', () => resolve());
      socket.resume().on('end', () => socket.end());
    });
  });
}

/** One connection, which the client ends. */
async function visit(
  callback: Callback,
  act: Act,
  onSecure: Act = (socket) => socket.end(),
  maxVersion: SecureVersion = 'TLSv1.2',
): Promise<Story> {
  const told: Story = { server: [], client: [] };
  story = told;
  let client: TLSSocket | undefined;
  const [own, theirs] = callback(act, () => client as TLSSocket);
  const common = { maxVersion };
  const server = tls.createServer({ ...common, cert: issued.certPem, key: keyOf(issued), ...own });
  const gone = watchServer(server, told.server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const anyName = {
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    servername: 'localhost',
  };
  const socket = tls.connect({
    ...{ ...common, port, host: '127.0.0.1', ...anyName, ...theirs },
  } as ConnectionOptions);
  client = socket;
  socket.once('secureConnect', () => {
    told.client.push('secureConnect');
    onSecure(socket);
  });
  socket.on('error', tellTo(told.client)).resume();
  await Promise.all([gone, new Promise((resolve) => socket.on('close', resolve))]);
  await close(server);
  return told;
}

/** To what it is put off; what is put off to later than these, Node does when OpenSSL has gone on. */
const PUT_OFF: Readonly<Record<string, (work: () => void) => void>> = {
  'a tick': (work) => process.nextTick(work),
  'a microtask': (work) => queueMicrotask(work),
  'a tick of a microtask of a tick': (work) =>
    process.nextTick(() => queueMicrotask(() => process.nextTick(work))),
};

const stories: Record<string, Story> = {};

for (const [name, callback] of Object.entries(CALLBACKS)) {
  for (const [when, putOff] of Object.entries(PUT_OFF)) {
    stories[`${name} puts something off to ${when}`] = await visit(callback, () => {
      story.server.push('asked');
      putOff(() => story.server.push('done'));
    });
    const destroyed = await visit(callback, (socket) => putOff(() => socket.destroy()));
    // Natively OpenSSL goes on, and tells of it, for nobody.
    destroyed.server = destroyed.server.filter((what) => what !== 'keylog');
    stories[`${name} puts the end of its socket off to ${when}`] = destroyed;
  }
}

for (const name of ['ALPNCallback', "a server's pskCallback"]) {
  stories[`${name} throws`] = await visit(CALLBACKS[name]!, () => {
    throw new Error('thrown');
  });
}

for (const [name, callback] of Object.entries(CALLBACKS)) {
  stories[`${name} throws in a tick`] = await visit(callback, () => {
    process.nextTick(() => {
      throw new Error('thrown');
    });
  });
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  stories[`ALPNCallback of ${version} puts something off to a turn`] = await visit(
    ofAlpn,
    () => {
      story.server.push('asked');
      setImmediate(() => story.server.push('done'));
    },
    (socket) => socket.end(),
    version,
  );
}

let calls = 0;
stories["a server's pskCallback throws in a renegotiation"] = await visit(
  CALLBACKS["a server's pskCallback"]!,
  () => {
    calls += 1;
    if (calls === 2) throw new Error('thrown');
  },
  (client) => client.renegotiate({}, () => {}),
);

process.stdout.write(JSON.stringify(stories));

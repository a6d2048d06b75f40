/** `keyless-tls serve`: the key server as a process. */
import { subscribe } from 'node:diagnostics_channel';
import { setSigningThreads } from '../engine/signing-threads.ts';
import { KeylessError } from '../errors.ts';
import { auditOperations } from '../server/audit.ts';
import { AuditLog } from '../server/audit-log.ts';
import type {
  ServerConnection,
  ServerConnectionEnd,
  ServerConnectionRefused,
  ServerOperation,
  ServerReplayWindow,
} from '../server/channels.ts';
import type { GrantsOptions } from '../server/grants.ts';
import { createKeyServer, type KeyServer, type KeyServerOptions } from '../server/key-server.ts';
import { numbersOf } from '../server/key-server-numbers.ts';
import { serverMetrics } from '../server/metrics.ts';
import { type SeenFiles, seeFiles } from '../wrap/watched-file.ts';
import {
  type Command,
  endingSignal,
  explainListening,
  parseListen,
  parseOptions,
  UsageError,
} from './command.ts';
import { eventLines, type Fields, type Print, rounded } from './event-lines.ts';
import { startMetrics } from './metrics-page.ts';
import { tellOfFewFiles } from './open-files.ts';
import { readCredentials, seeCredentials, watchCredentials } from './serve-credentials.ts';
import { readPolicy, watchPolicy } from './serve-policy.ts';
import { openKeys, type ServedKeys, STORE_OPTIONS } from './serve-stores.ts';
import { ticketOptions } from './serve-tickets.ts';
import { keepYoungGeneration } from './young-generation.ts';

const USAGE = `keyless-tls serve: holds private keys and signs TLS handshakes for edges

Usage: keyless-tls serve --cert FILE --key FILE --ca FILE --keys DIRECTORY [options]
       keyless-tls serve --cert FILE --key FILE --ca FILE --pkcs11 MODULE --pin-file FILE [options]
       keyless-tls serve --cert FILE --key FILE --ca FILE --ssh-agent SOCKET [options]

  --cert FILE           this server's certificate chain for mutual TLS, PEM
  --key FILE            its private key, PEM
  --ca FILE             the authority whose certificates edges must present, PEM
  --keys DIRECTORY      the private keys to sign with: files named *.key, PEM, readable by their owner only
  --passphrase-file FILE  the passphrase of those that are encrypted: its first line, readable by its owner only
  --ask-passphrase      ask for it on the terminal instead, once, without showing it
  --pkcs11 MODULE       sign with the keys of a PKCS#11 token: path of its module; needs the package pkcs11js
  --token LABEL         which token; default: the only one
  --pin-file FILE       the PIN of its user: the first line, readable by its owner only
  --token-key NAME      which key: a label, or id: and hexadecimal; may be repeated; default: all
  --ssh-agent SOCKET    sign with the keys of an SSH agent, such as "$SSH_AUTH_SOCK": EC, Ed25519, and RSA for TLS 1.2
  --listen HOST:PORT    where to listen; default 127.0.0.1:2407, port 0: any free one
  --allow-decrypt KEY   also answer RSA key exchange (48-byte premaster secrets) with this key, which also signs: its id or its
                        file, as the line "key" has them; may be repeated; off by default. The key may come later: "key-problem"
                        says that it is not there, or does not decrypt
  --allow-client        also sign for TLS 1.3 clients' certificates
  --allow-digest        also sign bare digests, blindly, with every key, for edges of the field that send no message: whoever has
                        an edge's certificate can then have anything signed. For single keys: "keys" in the policy
  --crl FILE            certificate revocation lists of that authority, PEM; with it, every edge's authority needs a valid one
  --policy FILE         who may what, JSON (docs/key-server.md)
  --ticket-secret FILE  give session-ticket keys to the clients whose policy says so, derived from this secret (at least
                        32 bytes, for its owner only, the same file on every key server)
  --ticket-period SECS  how often those keys change; default 3600
  --audit DIRECTORY     keep an audit log there; without it, nothing is kept
  --metrics HOST:PORT   metrics for Prometheus over HTTP, at /metrics; a port alone: on the loopback
  --workers N           threads that sign with RSA, P-384 and P-521 keys of --keys; default: one for each core
  --handshake-timeout MS, --idle-timeout MS   until an edge is through TLS (5,000) and between requests (30,000)
  --max-connections N   of all edges; where there are more, the edge with the most gives way; default 10,000
  --max-connections-per-client N   of one edge's certificate; default 128
  --json                one JSON object a line instead of text
  --quiet               do not print each operation

The files of --keys, --passphrase-file, --cert, --key, --ca, --crl and --policy are watched: a change takes effect at once, also by
SIGHUP; one that cannot be used is told of, and what there was stays. --keys, --pkcs11 and --ssh-agent may be given together.

Prints a line for each key, connection, refusal and operation; never a secret, never what was signed. SIGTERM and SIGINT
end it when the answers under way have left, within 5 s: what cannot be done by then is told to go elsewhere, and counted
("ended"); exit code 0. Note the lines "audit-head" elsewhere: they show later that nothing
was cut off the audit log.

Example:
  keyless-tls serve --cert server.crt --key server.pem --ca edges-ca.crt --keys ./keys --listen 0.0.0.0:2407
`;

const OPTIONS = {
  cert: { type: 'string' },
  key: { type: 'string' },
  ca: { type: 'string' },
  ...STORE_OPTIONS,
  listen: { type: 'string', default: '127.0.0.1:2407' },
  'allow-decrypt': { type: 'string', multiple: true },
  'allow-client': { type: 'boolean', default: false },
  'allow-digest': { type: 'boolean', default: false },
  crl: { type: 'string' },
  'handshake-timeout': { type: 'string' },
  'idle-timeout': { type: 'string' },
  'max-connections': { type: 'string' },
  'max-connections-per-client': { type: 'string' },
  workers: { type: 'string' },
  policy: { type: 'string' },
  'ticket-secret': { type: 'string' },
  'ticket-period': { type: 'string', default: '3600' },
  audit: { type: 'string' },
  metrics: { type: 'string' },
  json: { type: 'boolean', default: false },
  quiet: { type: 'boolean', default: false },
} as const;

type ServeValues = ReturnType<typeof parseOptions<typeof OPTIONS>>;

const LOOPBACK = '127.0.0.1';

function tellOperations(print: Print): void {
  subscribe('keyless-tls:server:operation', (message) => {
    const operation = message as ServerOperation;
    if (operation.kind === 'ping' || operation.kind === 'capabilities') return; // nobody's key was asked for
    print('operation', () => operationFields(operation));
  });
}

function operationFields(operation: ServerOperation): Fields {
  const { peer, kind, method, keyId, context, servername, repeats, refusal, errorCode, durationMs } =
    operation;
  const done = repeats ? 'repeated' : 'ok';
  return {
    kind,
    method,
    key: keyId,
    context,
    sni: servername,
    result: errorCode === undefined ? done : `error-${errorCode.toString(16).padStart(2, '0')}`,
    reason: refusal,
    ms: rounded(durationMs, 2),
    edge: peer.subject,
  };
}

function tellConnections(print: Print): void {
  subscribe('keyless-tls:server:connection', (message) => {
    const { peer } = message as ServerConnection;
    print('connected', { from: peer.address, edge: peer.subject, profile: peer.profile });
  });
  subscribe('keyless-tls:server:connection:end', (message) => {
    const { peer, error } = message as ServerConnectionEnd;
    print('disconnected', { from: peer.address, edge: peer.subject, reason: reasonOf(error) });
  });
  subscribe('keyless-tls:server:replay-window', (message) => {
    const { fingerprint, windowMs } = message as ServerReplayWindow;
    print('replay-window-problem', { certificate: fingerprint, seconds: Math.floor(windowMs / 1000) });
  });
  subscribe('keyless-tls:server:connection:refused', (message) => {
    const { address, reason, error } = message as ServerConnectionRefused;
    print('refused', { from: address, reason, why: whyOf(error) });
  });
}

/** What OpenSSL or the system calls it; of what the key server does not accept itself, what that is. */
function whyOf(error: Error): string {
  return error instanceof KeylessError ? error.message : reasonOf(error)!;
}

function reasonOf(error: Error | undefined): string | undefined {
  return error && ((error as NodeJS.ErrnoException).code ?? error.message);
}

/** A whole number from 1 on. @throws UsageError */
function numberOption(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new UsageError(`--${name} is a whole number from 1 to 999,999,999.`, 'keyless-tls serve --help');
}

function serverOptions(values: ServeValues, keys: ServedKeys, print: Print): KeyServerOptions {
  const clients = values['allow-client'] ? (['tls13-client'] as const) : [];
  const digests = values['allow-digest'] ? (['digest'] as const) : [];
  return {
    ...readCredentials(values),
    handshakeTimeoutMs: numberOption('handshake-timeout', values['handshake-timeout']),
    idleTimeoutMs: numberOption('idle-timeout', values['idle-timeout']),
    maxConnections: numberOption('max-connections', values['max-connections']),
    maxConnectionsPerClient: numberOption('max-connections-per-client', values['max-connections-per-client']),
    keys,
    contexts: ['tls13-server', 'tls12-server', ...clients, ...digests],
    allowDecrypt: values['allow-decrypt'],
    tickets: ticketOptions(values['ticket-secret'], values['ticket-period'], values.policy, print),
    grants: values.policy === undefined ? undefined : readPolicy(values.policy),
  };
}

async function listen(server: KeyServer, text: string, print: Print): Promise<void> {
  const { host, port } = parseListen('serve', text, LOOPBACK);
  try {
    const address = await server.listen(port, host);
    print('listening', { address: address.address, port: address.port });
    process.send?.({ port: address.port });
  } catch (error) {
    throw explainListening(error, `${host}:${port}`, '--listen');
  }
}

/** Started by another process with a channel (the demo), it does not outlive that. */
function parentGone(): Promise<string> {
  return new Promise((resolve) => {
    if (!process.connected) return;
    process.once('disconnect', () => resolve('its parent has gone'));
    process.channel?.unref(); // the listener would keep a process alive that has nothing left to serve
  });
}

/** What begins and ends with the server. */
interface Extras {
  /** Rejects when the server must not go on. */
  readonly failed: Promise<never>;
  close(): void;
}

/** A key server that cannot keep its log does not go on signing, and what it has signed without a record does not leave. */
function startAudit(
  directory: string,
  { server }: Serving,
  fail: (error: Error) => void,
  print: Print,
): () => void {
  const onFailure = (error: Error) => {
    server.destroy();
    fail(error);
  };
  const log = new AuditLog({ directory, onFailure });
  const stop = auditOperations(log);
  print('audit-head', log.head);
  return () => {
    stop();
    log.close();
    print('audit-head', log.head);
  };
}

interface Serving {
  readonly server: KeyServer;
  /** As it was at the start. */
  readonly policy: GrantsOptions | undefined;
  readonly keys: ServedKeys;
  /** Before they were read. */
  readonly seen: { readonly credentials: SeenFiles; readonly policy: SeenFiles };
}

/** SIGHUP reads keys, policy and credentials again, and never ends a key server. */
function startReloading(
  values: ServeValues,
  { server, policy, keys, seen }: Serving,
  print: Print,
): () => void {
  const watched = [keys.watch(), watchCredentials(values, seen.credentials, server, print)];
  const setGrants = (grants: GrantsOptions | undefined) => {
    server.setGrants(grants);
    keys.setRules(grants?.keys);
  };
  if (policy !== undefined) watched.push(watchPolicy(seen.policy, policy, { setGrants }, print));
  process.on('SIGHUP', () => {
    for (const each of watched) each.reload();
  });
  return () => {
    for (const each of watched) each.close();
  };
}

async function startExtras(values: ServeValues, serving: Serving, print: Print): Promise<Extras> {
  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => undefined);
  const ends = [startReloading(values, serving, print)];
  if (values.audit !== undefined) ends.push(startAudit(values.audit, serving, fail, print));
  if (values.metrics !== undefined)
    ends.push(await startMetrics('serve', values.metrics, serverMetrics(serving.server), print));
  const close = () => {
    for (const end of ends) end();
  };
  return { failed, close };
}

async function runServer(values: ServeValues, print: Print): Promise<void> {
  const keys = await openKeys(values, print);
  try {
    await serveKeys(values, keys, print);
  } finally {
    keys.close();
  }
}

const MAX_WORKERS = 256;

function setWorkers(text: string | undefined): void {
  const workers = numberOption('workers', text);
  if (workers === undefined) return;
  if (workers > MAX_WORKERS) {
    throw new UsageError(`--workers is a whole number from 1 to ${MAX_WORKERS}.`, 'keyless-tls serve --help');
  }
  setSigningThreads(workers);
}

async function serveKeys(values: ServeValues, keys: ServedKeys, print: Print): Promise<void> {
  setWorkers(values.workers);
  const { policy } = values;
  const seen = {
    credentials: seeCredentials(values),
    policy: seeFiles(policy === undefined ? [] : [policy]),
  };
  const options = serverOptions(values, keys, print);
  keys.setRules(options.grants?.keys);
  const server = createKeyServer(options);
  if (!values.quiet) tellOperations(print);
  tellConnections(print);
  const ending = Promise.race([endingSignal(['SIGINT', 'SIGTERM']), parentGone()]);
  const extras = await startExtras(values, { server, policy: options.grants, keys, seen }, print);
  const { maxConnections, maxHandshakes } = numbersOf(options);
  tellOfFewFiles(maxConnections + maxHandshakes, print);
  await listen(server, values.listen, print);
  try {
    print('draining', { reason: await Promise.race([ending, extras.failed]) });
  } finally {
    await server.close();
    extras.close();
  }
  // What came in the drain is to be recorded, too, and that the log was closed.
  await Promise.race([extras.failed, undefined]);
  const { answered, refused, unfinished } = server.stats();
  print('ended', { answered, refused, unfinished });
}

async function run(args: readonly string[]): Promise<number> {
  keepYoungGeneration();
  const values = parseOptions('serve', args, OPTIONS);
  parseListen('serve', values.listen, LOOPBACK);
  const lines = eventLines(values.json);
  try {
    await runServer(values, lines.print);
  } finally {
    await lines.end();
  }
  return 0;
}

/** See {@link USAGE}. */
export const serve: Command = { usage: USAGE, run };

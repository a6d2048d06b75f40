/** `keyless-tls serve`: the key server as a process. */
import { subscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import type { ServerConnectionRefused, ServerOperation } from '../server/channels.ts';
import { createKeyServer, type KeyServer } from '../server/key-server.ts';
import { type PemDirectory, pemDirectory } from '../server/pem-directory.ts';
import { type Command, parseListen, parseOptions, UsageError } from './command.ts';

const USAGE = `keyless-tls serve: holds private keys and signs TLS handshakes for edges

Usage: keyless-tls serve --cert FILE --tls-key FILE --ca FILE --keys DIRECTORY [options]

  --cert FILE           this server's certificate chain for mutual TLS, PEM
  --tls-key FILE        its private key, PEM
  --ca FILE             the authority whose certificates edges must present, PEM
  --keys DIRECTORY      the private keys to sign with: files named *.key, PEM, readable by their owner only
  --listen HOST:PORT    where to listen; default 127.0.0.1:2407, port 0: any free one
  --allow-decrypt       also answer RSA key exchange (48-byte premaster secrets); off by default
  --allow-client        also sign for TLS 1.3 clients' certificates
  --json                one JSON object a line instead of text
  --quiet               do not print each operation

SIGTERM and SIGINT end it when the answers under way have left.

Example:
  keyless-tls serve --cert server.crt --tls-key server.pem --ca edges-ca.crt --keys ./keys --listen 0.0.0.0:2407
`;

const OPTIONS = {
  cert: { type: 'string' },
  'tls-key': { type: 'string' },
  ca: { type: 'string' },
  keys: { type: 'string' },
  listen: { type: 'string', default: '127.0.0.1:2407' },
  'allow-decrypt': { type: 'boolean', default: false },
  'allow-client': { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  quiet: { type: 'boolean', default: false },
} as const;

type Print = (event: string, fields: Readonly<Record<string, unknown>>) => void;

function printer(json: boolean): Print {
  if (json) {
    return (event, fields) => {
      process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), event, ...fields })}\n`);
    };
  }
  return (event, fields) => {
    const text = Object.entries(fields).flatMap(([name, value]) =>
      value === undefined ? [] : `${name}=${String(value)}`,
    );
    process.stdout.write(`${new Date().toISOString()} ${event} ${text.join(' ')}\n`);
  };
}

function required(values: { [name: string]: unknown }, name: string): string {
  const value = values[name];
  if (typeof value === 'string' && value !== '') return value;
  throw new UsageError(`--${name} is missing.`, 'keyless-tls serve --help');
}

function readOption(values: { [name: string]: unknown }, name: string): Buffer {
  const path = required(values, name);
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new UsageError(
      `The file of --${name} cannot be read: ${(cause as Error).message}`,
      'keyless-tls serve --help',
    );
  }
}

function tellOperations(print: Print): void {
  subscribe('keyless-tls:server:operation', (message) => {
    const { peer, kind, method, keyId, context, servername, errorCode, durationMs } =
      message as ServerOperation;
    if (kind === 'ping') return;
    const result = errorCode === undefined ? 'ok' : `error-${errorCode.toString(16).padStart(2, '0')}`;
    print('operation', {
      kind,
      method,
      key: keyId,
      context,
      sni: servername,
      result,
      ms: durationMs.toFixed(2),
      edge: peer.subject,
    });
  });
}

function tellRefusals(print: Print): void {
  subscribe('keyless-tls:server:connection:refused', (message) => {
    const { address, error } = message as ServerConnectionRefused;
    print('refused', { from: address, reason: (error as NodeJS.ErrnoException).code ?? error.message });
  });
}

/** Prints what the directory gives. @returns whether there is a key at all */
function tellKeys(directory: PemDirectory, print: Print): boolean {
  for (const { file, reason } of directory.problems) print('key-problem', { file, reason });
  for (const { keyId, kind } of directory.keys)
    print('key', { id: Buffer.from(keyId).toString('hex'), kind: kind.type });
  return directory.keys.length > 0;
}

function untilSignal(server: KeyServer, print: Print): Promise<void> {
  return new Promise((resolve) => {
    const end = (signal: string) => {
      process.off('SIGTERM', end).off('SIGINT', end).off('disconnect', end);
      print('draining', { signal });
      server.close().then(resolve, resolve);
    };
    process.on('SIGTERM', end).on('SIGINT', end);
    // Started by another process (the demo): it does not outlive it.
    if (process.connected) process.on('disconnect', end);
  });
}

async function run(args: readonly string[]): Promise<number> {
  const values = parseOptions('serve', args, OPTIONS);
  const { host, port } = parseListen('serve', values.listen, '127.0.0.1');
  const tls = {
    cert: readOption(values, 'cert'),
    key: readOption(values, 'tls-key'),
    ca: readOption(values, 'ca'),
  };
  const print = printer(values.json);
  const keys = pemDirectory(required(values, 'keys'));
  if (!tellKeys(keys, print)) {
    throw new UsageError('The directory of --keys holds no usable key.', 'keyless-tls serve --help');
  }
  const contexts = [
    'tls13-server',
    'tls12-server',
    ...(values['allow-client'] ? (['tls13-client'] as const) : []),
  ] as const;
  const server = createKeyServer({ ...tls, keys, contexts, allowDecrypt: values['allow-decrypt'] });
  if (!values.quiet) tellOperations(print);
  tellRefusals(print);
  const address = await server.listen(port, host);
  print('listening', { address: address.address, port: address.port, keys: keys.keys.length });
  process.send?.({ port: address.port });
  await untilSignal(server, print);
  return 0;
}

/** See {@link USAGE}. */
export const serve: Command = { usage: USAGE, run };

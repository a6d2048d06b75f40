/** `keyless-tls demo`: everything on one machine, in two processes, with certificates of its own. */
import {
  type Command,
  endingSignal,
  explainListening,
  parseListen,
  parseOptions,
  UsageError,
} from './command.ts';
import { handshakeTable } from './demo-once.ts';
import { type Demo, startDemo } from './demo-parts.ts';
import { showOperations } from './demo-terminal.ts';
import { LineOutput } from './line-output.ts';

const USAGE = `keyless-tls demo: an HTTPS server without a private key, and the key server that signs for it

Usage: keyless-tls demo [options]

  --port PORT    where the HTTPS edge listens on 127.0.0.1; default 8443, 0: any free one
  --once         one handshake each with TLS 1.2 and 1.3, RSA and ECDSA; print a table and end
  --json         with --once: print JSON

Makes a private authority and certificates in a temporary folder, which is removed at the end, and starts the key server
in a process of its own. Nothing is installed and nothing leaves this machine. Ctrl-C ends it.

Example:
  keyless-tls demo --port 0
`;

const OPTIONS = {
  port: { type: 'string', default: '8443' },
  once: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

const HOST = '127.0.0.1';

async function start(port: number): Promise<Demo> {
  try {
    return await startDemo(port, HOST);
  } catch (error) {
    throw explainListening(error, `${HOST}:${port}`, '--port');
  }
}

async function keyServerDied(demo: Demo): Promise<never> {
  const problem = await demo.keyServerEnded;
  throw new Error(`The demo's key server has ended: ${problem}. Start the demo again.`);
}

async function show(
  values: { readonly once: boolean; readonly json: boolean },
  port: number,
  signal: Promise<unknown>,
): Promise<number> {
  const demo = await start(port);
  try {
    if (values.once) return await handshakeTable(demo, values.json);
    const output = new LineOutput();
    showOperations(demo, output);
    await Promise.race([signal, output.readerGone, keyServerDied(demo)]);
    return 0;
  } finally {
    await demo.close();
  }
}

async function run(args: readonly string[]): Promise<number> {
  const values = parseOptions('demo', args, OPTIONS);
  if (values.json && !values.once) {
    throw new UsageError('--json is for --once.', 'keyless-tls demo --once --json');
  }
  const { port } = parseListen('demo', values.once ? '0' : values.port, HOST);
  // From the start to the end: whatever ends the demo, its folder and its key server go with it.
  const over = new AbortController();
  try {
    return await show(values, port, endingSignal(undefined, over.signal));
  } finally {
    over.abort();
  }
}

/** See {@link USAGE}. */
export const demo: Command = { usage: USAGE, run };

/** `keyless-tls demo`: everything on one machine, in two processes, with certificates of its own. */
import { type Command, parseListen, parseOptions } from './command.ts';
import { handshakeTable } from './demo-once.ts';
import { startDemo } from './demo-parts.ts';
import { showOperations } from './demo-terminal.ts';

const USAGE = `keyless-tls demo: an HTTPS server without a private key, and the key server that signs for it

Usage: keyless-tls demo [options]

  --port PORT    where the HTTPS edge listens on 127.0.0.1; default 8443, 0: any free one
  --once         one handshake each with TLS 1.2 and 1.3, RSA and ECDSA; print a table and end
  --json         with --once: print JSON

Makes a private authority and certificates in a temporary folder, which is removed at the end, and starts the key server
in a process of its own. Nothing is installed and nothing leaves this machine.

Example:
  keyless-tls demo --port 0
`;

const OPTIONS = {
  port: { type: 'string', default: '8443' },
  once: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

function untilInterrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}

async function run(args: readonly string[]): Promise<number> {
  const values = parseOptions('demo', args, OPTIONS);
  const { port } = parseListen('demo', values.once ? '0' : values.port, '127.0.0.1');
  const demo = await startDemo(port);
  try {
    if (values.once) return await handshakeTable(demo, values.json);
    showOperations(demo);
    await Promise.race([untilInterrupted(), demo.keyServerEnded]);
    return demo.keyServerProblem() === undefined ? 0 : 1;
  } finally {
    await demo.close();
  }
}

/** See {@link USAGE}. */
export const demo: Command = { usage: USAGE, run };

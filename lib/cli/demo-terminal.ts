/** What the demo prints while it runs. */
import { subscribe } from 'node:diagnostics_channel';
import type { OperationEnded } from '../engine/channels.ts';
import { escapePeerText } from '../protocol/peer-text.ts';
import type { Demo } from './demo-parts.ts';
import type { LineOutput } from './line-output.ts';

/** Prints where the demo is to be found, and then a line for each operation. */
export function showOperations({ port, caFile, keyServerPid }: Demo, output: LineOutput): void {
  output.write(`The key server runs as process ${keyServerPid} and holds the keys.
This process (${process.pid}) is the HTTPS edge: it has certificates and no key.

  https://localhost:${port}/
  curl --cacert ${caFile} https://localhost:${port}/

Each line below is one handshake that asked for its key. Ctrl-C ends everything.

time          scheme                   server name                    ms result
`);
  subscribe('keyless-tls:operation:end', (message) => {
    const { operation, durationMs, error } = message as OperationEnded;
    const scheme = operation.kind === 'sign' ? operation.scheme : 'RSA key exchange';
    const fields = [
      new Date().toISOString().slice(11, 23).padEnd(13),
      scheme.padEnd(24),
      escapePeerText(operation.servername ?? '-')
        .slice(0, 26)
        .padEnd(26),
      durationMs.toFixed(1).padStart(6),
      error?.code ?? 'ok',
    ];
    output.write(`${fields.join(' ')}\n`);
  });
}

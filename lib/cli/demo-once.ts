/** The demo's smoke test: one handshake with each of TLS 1.2 and 1.3, RSA and ECDSA. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import tls, { type SecureVersion } from 'node:tls';
import type { OperationEnded } from '../engine/channels.ts';
import type { Demo } from './demo-parts.ts';
import { print } from './standard-output.ts';

interface Row {
  readonly protocol: string;
  readonly key: string;
  readonly scheme: string;
  readonly operations: number;
  readonly ms: number;
  readonly result: string;
}

const CASES: readonly { readonly version: SecureVersion; readonly key: string; readonly sigalgs: string }[] =
  [
    { version: 'TLSv1.2', key: 'RSA', sigalgs: 'RSA+SHA256' },
    { version: 'TLSv1.2', key: 'ECDSA', sigalgs: 'ECDSA+SHA256' },
    { version: 'TLSv1.3', key: 'RSA', sigalgs: 'RSA-PSS+SHA256' },
    { version: 'TLSv1.3', key: 'ECDSA', sigalgs: 'ECDSA+SHA256' },
  ];

async function handshake(demo: Demo, { version, key, sigalgs }: (typeof CASES)[number]): Promise<Row> {
  const operations: OperationEnded[] = [];
  const note = (message: unknown) => void operations.push(message as OperationEnded);
  subscribe('keyless-tls:operation:end', note);
  const startedAt = performance.now();
  const socket = tls.connect({
    host: '127.0.0.1',
    port: demo.port,
    servername: 'localhost',
    ca: demo.ca,
    minVersion: version,
    maxVersion: version,
    sigalgs,
  });
  let result = 'ok';
  try {
    await once(socket, 'secureConnect');
  } catch (error) {
    result = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  }
  const ms = performance.now() - startedAt;
  socket.destroy();
  unsubscribe('keyless-tls:operation:end', note);
  const [first] = operations;
  const scheme = first?.operation.kind === 'sign' ? first.operation.scheme : '-';
  if (result === 'ok' && (operations.length !== 1 || first?.error !== undefined)) result = 'no operation';
  return { protocol: version, key, scheme, operations: operations.length, ms: Number(ms.toFixed(1)), result };
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(({ protocol, key, scheme, operations, ms, result }) =>
    [
      protocol.padEnd(9),
      key.padEnd(6),
      scheme.padEnd(24),
      String(operations).padStart(10),
      ms.toFixed(1).padStart(7),
      result,
    ].join(' '),
  );
  return [
    `${'protocol'.padEnd(9)} ${'key'.padEnd(6)} ${'signature scheme'.padEnd(24)} operations      ms result`,
    ...lines,
    '',
  ].join('\n');
}

/** @returns the exit code: 0 if every handshake took one remote operation */
export async function handshakeTable(demo: Demo, json: boolean): Promise<number> {
  const rows: Row[] = [];
  for (const one of CASES) rows.push(await handshake(demo, one));
  await print(json ? `${JSON.stringify(rows)}\n` : table(rows));
  return rows.every(({ result }) => result === 'ok') ? 0 : 1;
}

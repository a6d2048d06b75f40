/** Bytes both ways between two connections, each end told on. */
import type { Duplex } from 'node:stream';
import { BackendTimeout } from './failure.ts';

export interface PumpResult {
  /** From the client. */
  readonly bytesIn: number;
  /** To the client. */
  readonly bytesOut: number;
  readonly error: Error | undefined;
}

/**
 * Resolves when both are closed; never rejects. Streams slow each other down; one that fails takes the other with it.
 *
 * @param client of the proxy
 * @param idleTimeoutMs without a byte in either direction: both are closed
 */
export function pump(client: Duplex, backend: Duplex, idleTimeoutMs: number): Promise<PumpResult> {
  return new Promise((resolve) => {
    let error: Error | undefined;
    const [counts, open] = [{ bytesIn: 0, bytesOut: 0 }, new Set([client, backend])];
    const fail = (cause: Error) => {
      error ??= cause;
      for (const each of open) each.destroy();
    };
    const alarm = setTimeout(() => fail(new BackendTimeout()), idleTimeoutMs);
    const closed = (stream: Duplex) => {
      open.delete(stream);
      // What has not been passed on cannot be: the other end must not take it for all.
      if (!stream.readableEnded || !stream.writableFinished) for (const each of open) each.destroy();
      if (open.size > 0) return;
      clearTimeout(alarm);
      resolve({ ...counts, error });
    };
    for (const [from, to, name] of [
      [client, backend, 'bytesIn'],
      [backend, client, 'bytesOut'],
    ] as const) {
      from.on('data', (chunk: Buffer) => {
        counts[name] += chunk.length;
        alarm.refresh();
      });
      from.on('error', fail).on('close', () => closed(from));
      from.pipe(to);
    }
  });
}

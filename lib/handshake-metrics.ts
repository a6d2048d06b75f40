/**
 * What servers tell Prometheus of their handshakes: each one counts once, as full, as resumed, or as failed with its reason.
 *
 * Counted from Node's own events, "secureConnection" and "tlsClientError", one of which every connection ends its handshake with.
 */
import type { Server, TLSSocket } from 'node:tls';
import { Counter, type Registry, register } from 'prom-client';

const HANDSHAKES = 'keyless_tls_edge_handshakes_total';
const FAILURES = 'keyless_tls_edge_handshake_failures_total';
/** Reasons are codes of ours, of Node and of OpenSSL: hundreds at most, and a peer's alert chooses among them. */
const MOST_REASONS = 100;
const OTHER = 'other';

/** @returns why the server has refused the client's certificate; `undefined`: it has not. A code, whatever the types say. */
function refusalOf({ authorizationError }: TLSSocket): string | undefined {
  return (authorizationError as unknown as string | null | undefined) ?? undefined;
}

class HandshakeCounts {
  readonly bySession = { full: 0, resumed: 0 };
  readonly byReason = new Map<string, number>();

  readonly onSecure = (socket: TLSSocket): void => {
    this.bySession[socket.isSessionReused() ? 'resumed' : 'full'] += 1;
  };

  readonly onFailure = ({ code: told }: NodeJS.ErrnoException, socket: TLSSocket): void => {
    // Node ends the connection of a client whose certificate it refuses, and tells of it as of one that went away.
    const code = told === 'ECONNRESET' ? (refusalOf(socket) ?? told) : told;
    const said = typeof code === 'string' && code !== '' ? code : OTHER;
    const reason = this.byReason.has(said) || this.byReason.size < MOST_REASONS ? said : OTHER;
    this.byReason.set(reason, (this.byReason.get(reason) ?? 0) + 1);
  };
}

function addCounters(counts: HandshakeCounts, registry: Registry): void {
  const registers = [registry];
  new Counter({
    name: HANDSHAKES,
    help: 'TLS handshakes that succeeded; full ones needed the private key (with TLS 1.3), resumed ones did not.',
    labelNames: ['session'],
    registers,
    collect() {
      this.reset();
      for (const [session, count] of Object.entries(counts.bySession)) this.inc({ session }, count);
    },
  });
  new Counter({
    name: FAILURES,
    help: "TLS handshakes that did not, by the code of the error, or of why the client's certificate was refused; ECONNRESET: the client went away.",
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset();
      for (const [reason, count] of counts.byReason) this.inc({ reason }, count);
    },
  });
}

/**
 * Adds the handshakes of servers to a registry of prom-client.
 *
 * @param servers of "keyless-tls", "keyless-tls/https", "keyless-tls/http2", or of Node itself
 * @param registry default prom-client's own; one registry takes one call
 * @returns takes them out again
 */
export function handshakeMetrics(
  servers: Server | readonly Server[],
  registry: Registry = register,
): { close(): void } {
  const counts = new HandshakeCounts();
  const all = [servers].flat();
  addCounters(counts, registry);
  for (const server of all)
    server.on('secureConnection', counts.onSecure).on('tlsClientError', counts.onFailure);
  return {
    close() {
      for (const server of all)
        server.off('secureConnection', counts.onSecure).off('tlsClientError', counts.onFailure);
      for (const name of [HANDSHAKES, FAILURES]) registry.removeSingleMetric(name);
    },
  };
}

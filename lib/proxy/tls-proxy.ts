/**
 * A TLS terminator: many hosts by their names, each with a certificate (whose key may be elsewhere) and a backend.
 *
 * States: listening -> draining (no new connections; what is under way goes on) -> closed.
 */
import { randomBytes } from 'node:crypto';
import { type BlockList, createServer as createTcpServer, isIPv6, type Server, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type SecureContext,
  type TLSSocket,
  type TlsOptions,
  type Server as TlsServer,
} from 'node:tls';
import { withPeerLimits } from '../engine/peer-limits.ts';
import { withSessionNames } from '../engine/session-names.ts';
import { KeylessError } from '../errors.ts';
import { escapePeerText } from '../protocol/peer-text.ts';
import { rawOf } from '../server/connected-peer.ts';
import { type Backend, connectBackend, isHttp } from './backend.ts';
import type { ProxyEvents, ProxyStats, Refusal } from './events.ts';
import { BackendTimeout, faultText, reasonOf } from './failure.ts';
import type { Client } from './headers.ts';
import { commonOptions, type Host } from './host-folder.ts';
import type { HostNames } from './host-names.ts';
import { HttpFront, LAST_HEADS_MS, type Visit } from './http-front.ts';
import { type Endpoint, encodeProxyHeader, readProxyHeader } from './proxy-protocol.ts';
import { pump } from './pump.ts';
import { quiet } from './quiet.ts';

export interface ProxyOptions {
  /** Of a host, by its label; `undefined`: it has none, and its connections are closed. */
  backendOf(host: Host): Backend | undefined;
  /** For clients that send no name, or one that no certificate has; `undefined`: they are refused. */
  readonly defaultHost?: string | undefined;
  /** Tell backends of `tcp` and `tls` who the client is, by the PROXY protocol, version 2. */
  readonly sendProxyHeader?: boolean | undefined;
  /** Neighbours that must send one; where theirs names no client (LOCAL), their X-Forwarded-For is believed. */
  readonly trusted?: BlockList | undefined;
  /** Protocols (ALPN) of backends of `tcp` and `tls`, the best first; default: whatever a client prefers. */
  readonly alpn?: readonly string[] | undefined;
  readonly handshakeTimeoutMs: number;
  readonly backendTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxConnections: number;
  /** Connections of HTTP/1.1 to backends, beyond one for each connection of a client. */
  readonly backendStock: number;
  /** The proxy has taken ticket keys of its own: other processes that shared those before are to have others, too. */
  readonly onOwnTicketKeys?: (() => void) | undefined;
  readonly events: ProxyEvents;
}

/** The host of a name that a client has sent, or of those that send none. */
type HostChoice = (name: string | undefined) => Host | undefined;

/** A connection after TLS. */
interface Guest {
  readonly host: Host;
  readonly backend: Backend;
  readonly client: Client;
}

function isTrusted(list: BlockList | undefined, address: string): boolean {
  return list?.check(address, isIPv6(address) ? 'ipv6' : 'ipv4') ?? false;
}

/** Of IPv4, as it is written there. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=[\d.]+$)/, '');
}

/** RFC 3986 §3.2.2. */
function authorityOfAddress(address: string): string {
  return isIPv6(plainAddress(address)) ? `[${address}]` : plainAddress(address);
}

/** By a neighbour that is trusted. */
interface Introduction {
  /** `undefined`: it speaks for itself. */
  readonly source: Endpoint | undefined;
}

/** Of clients, which are asked for none. */
const CERTIFICATE_BYTES = 1024;
const HTTP_PROTOCOLS = ['h2', 'http/1.1'];
/** As tls.Server.setTicketKeys takes them. */
const TICKET_KEYS_BYTES = 48;

/** Node calls them on the connection that they are for. */
function choices(
  contextFor: (socket: TLSSocket, name: string) => SecureContext | undefined,
  protocolFor: (socket: TLSSocket, name: string, protocols: readonly string[]) => string | undefined,
): Pick<TlsOptions, 'SNICallback' | 'ALPNCallback'> {
  return {
    SNICallback(this: unknown, name, done) {
      done(null, contextFor(this as TLSSocket, name));
    },
    ALPNCallback(this: unknown, { servername, protocols }) {
      return protocolFor(this as TLSSocket, servername, protocols);
    },
  };
}

export class TlsProxy {
  readonly #options: ProxyOptions;
  readonly #tcp: Server;
  readonly #tls: TlsServer;
  readonly #front: HttpFront;
  /** Another function when the hosts are others: a connection keeps the one it began with. */
  #hostFor: HostChoice = () => undefined;
  /** Of sockets below TLS: as of the ClientHello, or where that names nobody, of when the server's own certificate became theirs. */
  readonly #began = new WeakMap<Socket, HostChoice>();
  #ticketKeys: Buffer = randomBytes(TICKET_KEYS_BYTES);
  #names: ReadonlySet<string> = new Set();
  /** Of sockets below TLS: also when they are closed, which is when Node.js tells of a client that left in its handshake. */
  readonly #introductions = new WeakMap<Socket, Introduction>();
  /** Of connections that are in their handshakes. */
  readonly #asked = new WeakMap<Socket, Host>();
  readonly #open = new Set<Socket>();
  /** Of connections that have not said whom they are for. */
  readonly #unheard = new Set<Socket>();
  readonly #streams = new Set<Promise<void>>();
  readonly stats: ProxyStats = { connections: 0, accepted: 0, refused: 0, requests: 0, backendErrors: 0 };

  constructor(options: ProxyOptions) {
    this.#options = options;
    this.#front = new HttpFront({
      backendTimeoutMs: options.backendTimeoutMs,
      idleTimeoutMs: options.idleTimeoutMs,
      backendStock: options.backendStock,
      onRecord: (record) => {
        this.stats.requests += 1;
        if (record.error !== undefined) this.stats.backendErrors += 1;
        options.events.onRecord(record);
      },
    });
    this.#tls = this.#createTls();
    this.#tcp = createTcpServer({ noDelay: true }, (socket) =>
      this.#contain(socket, () => this.#accept(socket)),
    );
    this.#tcp.maxConnections = options.maxConnections;
  }

  /** Takes effect for new connections; those that are open keep what they have. */
  setHosts(index: HostNames<Host>, all: readonly Host[]): void {
    const other = all.find(({ label }) => label === this.#options.defaultHost);
    this.#hostFor = (name) => (name ? index.find(name) : undefined) ?? other;
    // Clients without a name get what the server has of its own: nothing, or the default host's.
    const { secrets } = other ?? {};
    this.#endTicketsOfGone(all, other);
    const context = { ...commonOptions(), ...secrets, ticketKeys: this.#ticketKeys };
    // Those of a connection are of the context that it begins with, whatever host it is for.
    const make = () => withPeerLimits(CERTIFICATE_BYTES, () => this.#tls.setSecureContext(context));
    withSessionNames(make);
  }

  /**
   * Whose ticket it takes OpenSSL asks nobody, and no ticket says which host it is of: those of a name that is gone end with all others.
   * A client would get in with one, and be cut off, or be the default host's with the name of another.
   */
  #endTicketsOfGone(all: readonly Host[], other: Host | undefined): void {
    const names = new Set(all.flatMap((host) => host.names));
    // Those of everybody else.
    if (other !== undefined) names.add('');
    const isGone = [...this.#names].some((name) => !names.has(name));
    this.#names = names;
    if (!isGone) return;
    this.#ticketKeys = randomBytes(TICKET_KEYS_BYTES);
    this.#options.onOwnTicketKeys?.();
  }

  /** The same for all processes of one proxy, 48 bytes. */
  setTicketKeys(keys: Buffer): void {
    this.#ticketKeys = keys;
    this.#tls.setTicketKeys(keys);
  }

  /** Connections, now. */
  get open(): number {
    return this.#open.size;
  }

  /** @returns the port */
  listen(port: number, host: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#tcp.once('error', reject).listen({ port, host, backlog: 4096 }, () => {
        this.#tcp.off('error', reject);
        // A connection that the system could not give, for want of memory or files; it goes on with the next.
        this.#tcp.on('error', (error) => this.#refuse(undefined, reasonOf(error)));
        resolve((this.#tcp.address() as { port: number }).port);
      });
    });
  }

  /** Resolves when all connections have ended. @param withinMs after that they are closed, whatever they do */
  async close(withinMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
    this.#front.drain();
    const alarm = setTimeout(() => {
      for (const socket of this.#open) socket.destroy();
    }, withinMs);
    // A handshake is under way from its ClientHello on.
    const lastHellos = setTimeout(() => {
      for (const socket of this.#unheard) socket.destroy();
    }, LAST_HEADS_MS);
    await closed;
    for (const timer of [alarm, lastHellos]) clearTimeout(timer);
    await Promise.all(this.#streams);
    this.#front.close();
  }

  #createTls(): TlsServer {
    const server = createTlsServer({
      minVersion: 'TLSv1.2',
      handshakeTimeout: this.#options.handshakeTimeoutMs,
      ...choices(
        (socket, name) => this.#contextFor(socket, name),
        (socket, name, protocols) => this.#protocolFor(socket, name, protocols),
      ),
    });
    server.on('secureConnection', (socket) => this.#contain(socket, () => this.#welcome(socket)));
    server.on('tlsClientError', (error, socket) => {
      this.#refuseHandshake(error, socket);
      socket.destroy();
    });
    return server;
  }

  #contextFor(socket: TLSSocket, name: string): SecureContext | undefined {
    const raw = rawOf(socket);
    this.#unheard.delete(raw);
    this.#began.set(raw, this.#hostFor);
    const host = this.#hostFor(name);
    if (host === undefined) this.#options.events.onUnknownHost(escapePeerText(name));
    else this.#asked.set(socket, host);
    return host?.context;
  }

  /**
   * What is passed on as bytes speaks what client and backend agree on: the client's first choice, or one of those the
   * operator has named. A name without a host gets any: its handshake fails for want of a certificate, which says it better.
   */
  #protocolFor(socket: TLSSocket, name: string, protocols: readonly string[]): string | undefined {
    const host = this.#choiceOf(socket)(name);
    const backend = host && this.#options.backendOf(host);
    if (backend !== undefined && isHttp(backend))
      return HTTP_PROTOCOLS.find((name) => protocols.includes(name));
    const { alpn } = this.#options;
    return alpn === undefined ? protocols[0] : alpn.find((name) => protocols.includes(name));
  }

  #choiceOf(socket: TLSSocket): HostChoice {
    return this.#began.get(rawOf(socket)) ?? this.#hostFor;
  }

  async #accept(socket: Socket): Promise<void> {
    this.stats.connections += 1;
    this.#open.add(socket);
    this.#unheard.add(socket);
    quiet(socket);
    socket.on('close', () => {
      this.#open.delete(socket);
      this.#unheard.delete(socket);
    });
    if (isTrusted(this.#options.trusted, socket.remoteAddress ?? '')) {
      try {
        const source = await readProxyHeader(socket, this.#options.handshakeTimeoutMs);
        this.#introductions.set(socket, { source });
      } catch (error) {
        this.#refuse(socket.remoteAddress, (error as Error).message);
        socket.destroy();
        return;
      }
    }
    if (socket.destroyed) return;
    this.#began.set(socket, this.#hostFor);
    this.#tls.emit('connection', socket);
  }

  #refuse(client: string | undefined, reason: string, more: Refusal = {}): void {
    this.stats.refused += 1;
    this.#options.events.onRefused(client || 'unknown', reason, more);
  }

  /** Our own errors, such as that a key is lost, say more than their code; those of TLS may say what the peer has said. */
  #refuseHandshake(error: Error, socket: TLSSocket): void {
    const { address } = this.#clientOf(socket);
    const why = error instanceof KeylessError ? escapePeerText(error.message) : undefined;
    this.#refuse(address, reasonOf(error), { host: this.#asked.get(socket)?.label, why });
  }

  #clientOf(socket: Socket): Client {
    // A connection that has been closed knows where it came from by what lies below only.
    const below = rawOf(socket);
    const introduction = this.#introductions.get(below);
    const behind = introduction?.source;
    // A neighbour that names the client has passed its bytes on unread: the fields within are that client's own.
    const trusted = introduction !== undefined && behind === undefined;
    const { address, port } = behind ?? { address: below.remoteAddress ?? '', port: below.remotePort ?? 0 };
    return { address: plainAddress(address), port, trusted };
  }

  #welcome(socket: TLSSocket): void {
    quiet(socket);
    this.#unheard.delete(rawOf(socket));
    const host = this.#choiceOf(socket)(socket.servername || undefined);
    const backend = host && this.#options.backendOf(host);
    if (host === undefined || backend === undefined) {
      this.#refuse(
        this.#clientOf(socket).address,
        `no backend for ${escapePeerText(socket.servername || 'a client without a name')}`,
      );
      socket.destroy();
      return;
    }
    this.stats.accepted += 1;
    // Only now: a client that ends in its handshake has nothing more to hear; and over HTTP/2, who has ended has gone.
    socket.allowHalfOpen = !isHttp(backend) || socket.alpnProtocol !== 'h2';
    const guest = { host, backend, client: this.#clientOf(socket) };
    if (isHttp(backend)) this.#front.take(socket, this.#visitOf(socket, guest));
    else this.#track(this.#contain(socket, () => this.#stream(socket, guest)));
  }

  #visitOf(socket: TLSSocket, { host, backend, client }: Guest): Visit {
    const hostFor = this.#choiceOf(socket);
    return {
      addressed: socket.servername || authorityOfAddress(socket.localAddress ?? ''),
      ...{ host: host.label, backend, client },
      mayAskFor: (name) => hostFor(name) === host,
      contain: (work) => this.#contain(socket, work),
    };
  }

  /** Whatever it throws ends that connection, and no other. */
  async #contain(socket: Socket, work: () => unknown): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { address } = this.#clientOf(socket);
      socket.destroy();
      this.#options.events.onProblem(address, faultText(error as Error));
    }
  }

  #track(stream: Promise<void>): void {
    this.#streams.add(stream);
    void stream.finally(() => this.#streams.delete(stream));
  }

  async #stream(socket: TLSSocket, { host, backend, client }: Guest): Promise<void> {
    const startedAt = performance.now();
    const use = { protocol: socket.alpnProtocol || undefined, allowHalfOpen: true };
    const out = connectBackend(backend, use);
    const alarm = setTimeout(() => out.destroy(new BackendTimeout()), this.#options.backendTimeoutMs);
    const connected = () => clearTimeout(alarm);
    out.once(backend.tls === undefined ? 'connect' : 'secureConnect', connected).once('close', connected);
    if (this.#options.sendProxyHeader) {
      const destination = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 };
      out.write(encodeProxyHeader({ source: client, destination }));
    }
    const { error, ...bytes } = await pump(socket, out, this.#options.idleTimeoutMs);
    if (error !== undefined) this.stats.backendErrors += 1;
    const durationMs = performance.now() - startedAt;
    const record = { kind: 'tcp', host: host.label, client: client.address, durationMs, ...bytes } as const;
    this.#options.events.onRecord({ ...record, error: error && reasonOf(error) });
  }
}

/**
 * The key server: holds keys, listens on mutual TLS, answers the edges that its CA knows.
 *
 * Two profiles on one port: TLS 1.3 with ALPN `keyless-tls/1` for our edges, no ALPN for edges of the field, which take
 * TLS 1.2 (docs/protocol.md, "Transport").
 */
import type { AddressInfo, Socket } from 'node:net';
import tls from 'node:tls';
import { type Clock, systemClock } from '../clock.ts';
import { withPeerLimits } from '../engine/peer-limits.ts';
import { KeylessError } from '../errors.ts';
import { ALPN_PROTOCOL, DEFAULT_PORT } from '../protocol/opcodes.ts';
import { escapePeerText } from '../protocol/peer-text.ts';
import { endOf, whenExpired } from './certificate-expiry.ts';
import { type RefusedConnection, serverConnection, serverConnectionRefused } from './channels.ts';
import { addressOf, certificateOf, pathOf, peerOf, rawOf, refusalOf } from './connected-peer.ts';
import {
  type KeyServerCredentials,
  requireCredentials,
  requireOption,
  secureOptionsOf,
} from './credentials.ts';
import { Grants, type GrantsOptions } from './grants.ts';
import { requireGrants } from './grants-options.ts';
import { HalfOpen } from './half-open.ts';
import { type KeyServerNumbers, numbersOf } from './key-server-numbers.ts';
import type { KeyStore } from './key-store.ts';
import { startListening } from './listening.ts';
import { Operations } from './operations.ts';
import { MAX_PATH } from './peer-chain.ts';
import { identityOf, type PeerIdentity, policyNamesOf } from './peer-identity.ts';
import { type PolicyOptions, policyOf } from './policy.ts';
import { RecentSignatures } from './recent-signatures.ts';
import { ReplayGuard } from './replay-guard.ts';
import { Revocations } from './revocations.ts';
import { Rounds } from './rounds.ts';
import { Session, type SessionHost } from './session.ts';
import { Sessions } from './sessions.ts';
import { SignedOnce } from './signed-once.ts';
import { type TicketKeyOptions, TicketKeys } from './ticket-keys.ts';

export interface KeyServerOptions extends PolicyOptions, KeyServerCredentials {
  /** The keys it serves. */
  readonly keys: KeyStore;
  /** Who may what; `undefined`: every client of `ca` may use every key. Members that are not known, or of another form, are refused. See {@link KeyServer.setGrants}. */
  readonly grants?: GrantsOptions | undefined;
  /** Milliseconds in which a message is signed once only, whole ones; default 600,000; 0: a message may be signed again. */
  readonly replayWindowMs?: number | undefined;
  /** Messages remembered in that time, in 14 bytes each; default 1,572,864. */
  readonly replayCapacity?: number | undefined;
  /** Milliseconds from the TCP connection to the end of the TLS handshake; default 5,000. */
  readonly handshakeTimeoutMs?: number | undefined;
  /** Milliseconds without a whole request before a connection is closed; default 30,000. */
  readonly idleTimeoutMs?: number | undefined;
  /**
   * Milliseconds that `close()` takes at most; default 5,000. What is not done shortly before is answered with error 08, so that
   * edges go elsewhere.
   */
  readonly closeTimeoutMs?: number | undefined;
  /** Connections at once; where there are so many, the client with the most gives way; default 10,000. */
  readonly maxConnections?: number | undefined;
  /** Connections at once that are not through TLS; of the address with the most the oldest makes way; default 512. */
  readonly maxHandshakes?: number | undefined;
  /** Connections of one client (one certificate) at once; default 128. */
  readonly maxConnectionsPerClient?: number | undefined;
  /** Requests of one connection at once, before it is read no further; default 128. */
  readonly maxInFlight?: number | undefined;
  /** Requests of one client at once, before none of its connections is read; default 8 times `maxInFlight`. */
  readonly maxInFlightPerClient?: number | undefined;
  /** Gives session-ticket keys to the clients whose grants name a group; `undefined`: to nobody. */
  readonly tickets?: TicketKeyOptions | undefined;
  /** For tests. */
  readonly clock?: Clock | undefined;
}

export interface KeyServerStats {
  readonly connections: number;
  /** Connections that did not get through TLS, or were too many. */
  readonly refused: number;
  /** Requests being answered now. */
  readonly inFlight: number;
  /** Those of them that wait for their turn to be signed in a thread. */
  readonly waiting: number;
  /** Requests answered, errors included. */
  readonly answered: number;
  /** Those of them that were told to go elsewhere because the server was to end. */
  readonly unfinished: number;
  /** Milliseconds in which a message is signed once only: below `replayWindowMs` where there were too many; 0: no such thing. */
  readonly replayWindowMs: number;
}

function requireOptions(options: KeyServerOptions): void {
  requireCredentials(options);
  requireGrants(options.grants);
  requireOption(options, 'keys');
  if (typeof options.keys.find !== 'function') {
    throw new KeylessError(
      'ERR_KEYLESS_INVALID_ARGUMENT',
      '"keys" must be a KeyStore, for example pemDirectory(path).',
    );
  }
}

const NOT_SERVED = 'The policy names no such client, or it was revoked';
/** With the names that a policy could have: they are its authority's words, and escaped. */
function notServed(identity: PeerIdentity | undefined): KeylessError {
  const names = identity === undefined ? 'no certificate' : policyNamesOf(identity).join(', ');
  return new KeylessError('ERR_KEYLESS_REFUSED', `${NOT_SERVED}: ${escapePeerText(names)}.`);
}

/** Of what a client sends in its handshake: a handful of certificates. Any stranger has them parsed, 100 µs each. */
const MAX_CERTIFICATE_BYTES = 16_384;
/** Before the end of `close()`: thousands of answers leave in it, across the world. */
const LAST_WORDS_MS = 1000;
const CLOSED = 'The key server was closed, and listens no more: make another one.';
const TOO_MANY = 'Too many connections.';
const EXPIRED = 'The certificate of the client, or of an authority of it, has expired since it connected.';

class KeyServer {
  readonly #server: tls.Server;
  readonly #sessions: Sessions;
  readonly #halfOpen: HalfOpen;
  readonly #operations: Operations;
  readonly #host: SessionHost;
  readonly #numbers: KeyServerNumbers;
  readonly #clock: Clock;
  #grants: Grants;
  #revocations: Revocations;
  #ca: string;
  /** By which CA the handshake of a connection is done: that of when it came. */
  readonly #caOf = new WeakMap<Socket, string>();
  #refused = 0;
  /** Of connections that have ended. */
  #before = { answered: 0, unfinished: 0 };
  readonly #closing = new AbortController();
  #ended: Promise<void> | undefined;

  constructor(options: KeyServerOptions) {
    requireOptions(options);
    this.#numbers = numbersOf(options);
    this.#clock = options.clock ?? systemClock;
    this.#grants = new Grants(options.grants, this.#clock);
    this.#revocations = new Revocations(options);
    this.#ca = String(options.ca);
    const { maxInFlight } = this.#numbers;
    this.#operations = new Operations(
      options.keys,
      policyOf(options),
      this.#signedOnce(),
      maxInFlight,
      options.tickets && new TicketKeys(options.tickets),
    );
    this.#operations.setKeys(options.grants?.keys);
    this.#halfOpen = new HalfOpen(this.#numbers.maxHandshakes);
    const [rounds, clock] = [new Rounds(), this.#clock];
    this.#sessions = new Sessions({ ...this.#numbers, rounds, clock });
    this.#host = { operations: this.#operations, rounds, limits: this.#numbers, clock };
    this.#server = this.#createTlsServer(options);
  }

  /**
   * Starts listening.
   *
   * @param port 0 to 65,535, 0: any free one; default 2407
   * @param host address to bind; default loopback only
   * @throws (rejects) ERR_KEYLESS_CLOSED after {@link close} or {@link destroy}, also where it has not listened by then
   */
  listen(port: number = DEFAULT_PORT, host = '127.0.0.1'): Promise<AddressInfo> {
    return startListening(this.#server, { port, host }, this.#closing.signal);
  }

  /** Where it listens; `null`: it does not. */
  address(): AddressInfo | null {
    return this.#server.address() as AddressInfo | null;
  }

  stats(): KeyServerStats {
    let inFlight = 0;
    let { answered, unfinished } = this.#before;
    for (const session of this.#sessions) {
      inFlight += session.inFlight;
      answered += session.answered;
      unfinished += session.unfinished;
    }
    const { waiting, replayWindowMs = 0 } = this.#operations;
    const [connections, refused] = [this.#sessions.size, this.#refused];
    return { connections, refused, inFlight, waiting, answered, unfinished, replayWindowMs };
  }

  /**
   * Another policy, at once, also for the connections there are: whoever is not in it any more, or is revoked, is
   * disconnected; operations under way are lost to it.
   *
   * @throws ERR_KEYLESS_INVALID_ARGUMENT for what is none, and the policy there was stays
   */
  setGrants(grants: GrantsOptions | undefined): void {
    requireGrants(grants);
    const before = this.#grants;
    this.#grants = new Grants(grants, this.#clock);
    this.#grants.continueFrom(before);
    this.#operations.setKeys(grants?.keys);
    for (const session of this.#sessions) {
      const grant = this.#grants.find(session.identity);
      if (grant === undefined) session.destroy(new KeylessError('ERR_KEYLESS_REFUSED', `${NOT_SERVED}.`));
      else session.grant = grant;
    }
  }

  /**
   * Other credentials, for the connections to come. Of those there are, whoever is on the revocation lists, or has its
   * certificate from an authority that is, is disconnected (everybody is, where there were no lists), and all are asked to come again if the CA is another one.
   *
   * @throws what {@link createKeyServer} throws for them, and the old ones stay
   */
  setCredentials(credentials: KeyServerCredentials): void {
    requireCredentials(credentials);
    const revocations = new Revocations(credentials);
    withPeerLimits(MAX_CERTIFICATE_BYTES, () => this.#server.setSecureContext(secureOptionsOf(credentials)));
    this.#revocations = revocations;
    const otherCa = String(credentials.ca) !== this.#ca;
    this.#ca = String(credentials.ca);
    for (const session of this.#sessions) {
      if (revocations.refuse(session.chain)) {
        session.destroy(new KeylessError('ERR_KEYLESS_REFUSED', `${NOT_SERVED}.`));
      } else if (otherCa) session.close();
    }
  }

  /**
   * Takes no more connections and requests, lets the answers leave, ends. Shortly before its time is over, what has not begun
   * is told to go elsewhere, then what is not done, and then whoever does not read that is disconnected. Called again, it is the same end.
   */
  close(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    this.#closing.abort(new KeylessError('ERR_KEYLESS_CLOSED', CLOSED));
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const { closeTimeoutMs } = this.#numbers;
    const lastMs = Math.min(LAST_WORDS_MS, closeTimeoutMs / 2);
    const alarms = [
      this.#clock.after(closeTimeoutMs - lastMs, () => this.#operations.end()),
      this.#clock.after(closeTimeoutMs - lastMs / 2, () => this.#giveUpAll()),
      this.#clock.after(closeTimeoutMs, () => this.#destroyAll()),
    ];
    for (const alarm of alarms) alarm.ref();
    for (const session of this.#sessions) session.close();
    await closed;
    // Node calls a server closed before its last connection has said so; who closes wants to have heard of all.
    await this.#sessions.whenNone();
    for (const alarm of alarms) alarm.cancel();
  }

  /** Ends at once: no answer leaves any more, not even one that is ready. {@link close} waits for the end. */
  destroy(): void {
    this.#closing.abort(new KeylessError('ERR_KEYLESS_CLOSED', CLOSED));
    this.#server.close();
    this.#destroyAll();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #createTlsServer(options: KeyServerOptions): tls.Server {
    const server = withPeerLimits(MAX_CERTIFICATE_BYTES, () =>
      tls.createServer({
        ...secureOptionsOf(options),
        requestCert: true,
        rejectUnauthorized: true,
        ALPNProtocols: [ALPN_PROTOCOL],
        handshakeTimeout: this.#numbers.handshakeTimeoutMs,
        noDelay: true,
      } as tls.TlsOptions),
    );
    server.on('connection', (raw) => {
      this.#caOf.set(raw, this.#ca);
      this.#halfOpen.add(raw);
    });
    server.on('secureConnection', (socket) => {
      this.#halfOpen.delete(rawOf(socket));
      this.#look(socket);
    });
    server.on('tlsClientError', (error, socket) => {
      this.#refuseHandshake(error, socket);
      // Node tells of a handshake that takes too long, and leaves the connection open.
      socket.destroy();
    });
    return server;
  }

  #signedOnce(): SignedOnce | undefined {
    const { replayWindowMs: windowMs, replayCapacity: capacity } = this.#numbers;
    if (windowMs === 0) return undefined;
    const clock = this.#clock;
    const guard = new ReplayGuard({ windowMs, capacity, clock });
    return new SignedOnce(guard, new RecentSignatures({ clock }));
  }

  /** What a peer sends is read by Node, OpenSSL and us: whatever any of them does not like ends its connection, and nothing else. */
  #look(socket: tls.TLSSocket): void {
    try {
      this.#accept(socket);
    } catch (cause) {
      const message = `The client cannot be told by what it sent: ${escapePeerText(String(cause))}`;
      this.#turnAway(socket, 'certificate', new KeylessError('ERR_KEYLESS_PROTOCOL', message, { cause }));
    }
  }

  #accept(socket: tls.TLSSocket): void {
    const certificate = certificateOf(socket);
    const identity = certificate && identityOf(certificate);
    const grant = identity && this.#grants.find(identity);
    // Whoever is not served for what it is has no signatures verified.
    const path = grant === undefined ? [] : pathOf(socket, MAX_PATH);
    const chain = this.#revocations.chainOf(path);
    if (grant === undefined || this.#revocations.refuse(chain)) {
      this.#turnAway(socket, 'not-served', notServed(identity));
      return;
    }
    const peer = peerOf(socket, certificate!, identity!, grant.name);
    if (peer.profile === 'ours' && socket.getProtocol() !== 'TLSv1.3') {
      const error = new KeylessError('ERR_KEYLESS_PROTOCOL', `${ALPN_PROTOCOL} needs TLS 1.3.`);
      this.#turnAway(socket, 'protocol', error);
      return;
    }
    const known = this.#sessions.admit(identity!);
    if (known === undefined) {
      this.#turnAway(socket, 'too-many', new KeylessError('ERR_KEYLESS_CONNECTION', TOO_MANY));
      return;
    }
    const client = { peer, identity: identity!, chain, grant, known };
    // Whoever has said its last request may still read the answers. Not before: who goes in its handshake has gone.
    socket.allowHalfOpen = true;
    const session = new Session(socket, client, this.#host);
    this.#sessions.add(session);
    const leftMs = endOf(path, Date.now()) - Date.now();
    const forgetExpiry = whenExpired(leftMs, this.#clock, () =>
      session.destroy(new KeylessError('ERR_KEYLESS_REFUSED', EXPIRED)),
    );
    socket.on('close', () => {
      forgetExpiry();
      this.#sessions.delete(session);
      this.#before.answered += session.answered;
      this.#before.unfinished += session.unfinished;
    });
    if (serverConnection.hasSubscribers) serverConnection.publish({ peer });
    // It was on its way when close() was called, or when there was another CA, of whose clients it may be no more.
    if (this.#closing.signal.aborted || this.#caOf.get(rawOf(socket)) !== this.#ca) session.close();
  }

  #refuseHandshake(error: Error, socket: tls.TLSSocket): void {
    const raw = rawOf(socket);
    const address = addressOf(raw);
    if (this.#halfOpen.hasMadeWay(raw)) {
      this.#refuse('too-many', new KeylessError('ERR_KEYLESS_CONNECTION', TOO_MANY), address);
      return;
    }
    this.#refuse(...refusalOf(error, socket), address);
  }

  #turnAway(socket: tls.TLSSocket, reason: RefusedConnection, error: KeylessError): void {
    const address = addressOf(socket);
    socket.on('error', () => undefined);
    socket.destroy();
    this.#refuse(reason, error, address);
  }

  #refuse(reason: RefusedConnection, error: Error, address: string): void {
    this.#refused += 1;
    if (serverConnectionRefused.hasSubscribers) serverConnectionRefused.publish({ address, reason, error });
  }

  #giveUpAll(): void {
    for (const session of this.#sessions) session.giveUp();
  }

  #destroyAll(): void {
    for (const session of this.#sessions) session.destroy();
    this.#halfOpen.destroyAll();
  }
}

export type { KeyServer, KeyServerCredentials };

/**
 * A key server, not listening yet.
 *
 * @throws ERR_KEYLESS_INVALID_ARGUMENT for options that are missing or wrong; what node:tls throws for bad PEM
 */
export function createKeyServer(options: KeyServerOptions): KeyServer {
  return new KeyServer(options);
}

/**
 * One TLS connection to one key server: many requests at once, told apart by id.
 *
 * States, one way: connecting -> ready (the key server has answered once: only then did it accept our certificate, which
 * TLS 1.3 checks after our side believes the handshake is over) -> closed. It never keeps the process alive: whoever
 * waits for an answer does.
 */
import { isIP, type LookupFunction, type OnReadOpts } from 'node:net';
import tls from 'node:tls';
import type { Clock } from '../clock.ts';
import { KeylessError } from '../errors.ts';
import { type Patience, patience } from '../patience.ts';
import { type Answer, decodeAnswer, isGoodbye } from '../protocol/answers.ts';
import { type Capabilities, decodeCapabilities } from '../protocol/capabilities.ts';
import { FrameBatch } from '../protocol/frame-batch.ts';
import { type Frame, FrameDecoder } from '../protocol/frame-decoder.ts';
import { ALPN_PROTOCOL } from '../protocol/opcodes.ts';
import { capabilitiesRequest, pingRequest } from '../protocol/request-encoder.ts';
import type { Items } from '../protocol/tags.ts';
import { atEndOfTurn } from '../turn.ts';
import { connectionError, type Refusal, refusalOf } from './errors.ts';
import { Heartbeat } from './heartbeat.ts';
import { type LaneName, STANDSTILL_MS } from './lane.ts';
import { guarded, systemLookups } from './lookups.ts';
import { type OnAnswer, type OnLate, PendingRequests } from './pending-requests.ts';
import type { ServerAddress } from './server-address.ts';

/** `ours`: ALPN `keyless-tls/1`; `field`: the published protocol and nothing more. */
export type Profile = 'ours' | 'field';

export interface ConnectionSettings {
  readonly address: ServerAddress;
  /** The name that the key server's certificate must have; `undefined`: the host of its address. */
  readonly servername: string | undefined;
  /** Our certificate and key, and the CA of the key servers. */
  readonly secureContext: tls.SecureContext;
  /** Milliseconds until the first answer. */
  readonly connectTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly clock: Clock;
  /** Resolves host names, as `dns.lookup` does; `undefined`: {@link systemLookups}. */
  readonly lookup?: LookupFunction | undefined;
}

export interface ConnectionEvents {
  onReady(): void;
  /** Answers came: there is room for more requests. */
  onAnswers(): void;
  /** The key server will end it: no more requests, please. */
  onGoodbye(): void;
  /**
   * Once, before those who wait for answers are told: they may look for another connection.
   *
   * @param refusal whether the key server does not accept our certificate, or we not its
   */
  onClose(error: KeylessError, refusal: Refusal): void;
}

/** A peer that leaves so many requests unanswered is not worth the ids. */
const MAX_GIVEN_UP = 65_536;
/** Requests at once where the peer does not say: those of the field. */
const DEFAULT_MAX_IN_FLIGHT = 128;
/** The peer reads no further than it has room: slow operations leave some to quick ones. */
const SLOW_SHARE = 0.75;
/** What was given up so long ago is not expected to be answered. */
const FORGET_AFTER_MS = 10_000;
/** Node reads for all connections of this thread into the same memory: what is held longer than a call is copied. */
const READ_BUFFER = Buffer.alloc(65_536);

export class Connection {
  readonly #settings: ConnectionSettings;
  readonly #events: ConnectionEvents;
  readonly #socket: tls.TLSSocket;
  readonly #decoder = new FrameDecoder();
  readonly #pending = new PendingRequests();
  readonly #connecting: Patience;
  #heartbeat: Heartbeat | undefined;
  readonly #batch = new FrameBatch();
  #state: 'connecting' | 'ready' | 'closed' = 'connecting';
  /** Whoever resolves names may fail with what is no Error. */
  #error: unknown;
  #takeLookupBack: (() => void) | undefined;
  /** Its address is known. */
  #isFound: boolean;
  /** The handshake is over and the greeting not answered. */
  #isUnanswered = false;
  #isLeaving = false;
  #maxInFlight = DEFAULT_MAX_IN_FLIGHT;
  #forgotAt = 0;
  /** When something but a ping was answered last, or there was something to answer after a pause. */
  #progressAt = 0;
  /** It stood still when a request was given up, and has answered none since. */
  #isDoubtful = false;
  #isBeingProven = false;
  /** When the last ping of {@link prove} that was answered was sent: the peer was there then. Milliseconds on the clock. */
  provenAt = Number.NEGATIVE_INFINITY;
  profile: Profile = 'field';
  /** `undefined`: not said. */
  capabilities: Capabilities | undefined;
  /** How far the key server's clock is ahead of this machine's, milliseconds, give or take half of the first answer's time. */
  clockSkewMs: number | undefined;

  constructor(settings: ConnectionSettings, events: ConnectionEvents) {
    this.#settings = settings;
    this.#events = events;
    const { connectTimeoutMs } = settings;
    this.#isFound = isIP(settings.address.host) !== 0;
    this.#socket = this.#open();
    this.#connecting = patience(settings.clock, connectTimeoutMs, () => {
      const what = this.#isFound ? 'did not answer' : 'was not found by its name';
      this.destroy(
        new KeylessError('ERR_KEYLESS_TIMEOUT', `${this.#name} ${what} within ${connectTimeoutMs} ms.`),
      );
    });
  }

  get ready(): boolean {
    return this.#state === 'ready';
  }

  /** The credentials that it was made with. */
  get secureContext(): tls.SecureContext {
    return this.#settings.secureContext;
  }

  /** Requests that somebody waits for. */
  get inFlight(): number {
    return this.#pending.waiting;
  }

  /** The peer would read another request: more would wait in buffers, and could not be taken back. */
  hasRoom(lane: LaneName): boolean {
    const most = lane === 'slow' ? this.#maxInFlight * SLOW_SHARE : this.#maxInFlight;
    if (this.#pending.occupying < most) return true;
    const now = this.#settings.clock.now();
    if (now - this.#forgotAt < FORGET_AFTER_MS) return false;
    this.#forgotAt = now;
    this.#pending.forget();
    return this.#pending.occupying < most;
  }

  /** Requests wait, or were given up, and none is answered, though pings may be: others may be, on another connection. */
  standsStill(now: number): boolean {
    return this.#isDoubtful || (this.#pending.waiting > 0 && now - this.#progressAt > STANDSTILL_MS);
  }

  /** Requests that nobody waits for any more, and whose answers may still come. */
  get unanswered(): number {
    return this.#pending.givenUp;
  }

  /** Answers that came too late, and answers to nothing that was asked. */
  get strayAnswers(): { late: number; unknown: number } {
    return { late: this.#pending.late, unknown: this.#pending.unknown };
  }

  /**
   * Sends a request at the end of this turn, with all others of the turn in one write.
   *
   * @returns its id, for {@link giveUp}
   */
  request(items: Items, onAnswer: OnAnswer): number {
    if (this.#pending.waiting === 0) this.#progressAt = this.#settings.clock.now();
    const id = this.#pending.add(onAnswer);
    const isFirst = this.#batch.isEmpty;
    try {
      this.#batch.add(id, items);
    } catch (error) {
      this.#pending.withdraw(id);
      throw error;
    }
    if (isFirst) atEndOfTurn(this.#flush);
    return id;
  }

  /** Asks whether the peer is there: see {@link provenAt}. Answers that were read meanwhile may be of one that has gone. */
  prove(): void {
    if (this.#isBeingProven) return;
    this.#isBeingProven = true;
    const sentAt = this.#settings.clock.now();
    this.request(pingRequest(), (answer) => {
      this.#isBeingProven = false;
      if (!(answer instanceof KeylessError)) this.provenAt = sentAt;
    });
  }

  /** Nobody waits for the answer any more. @param onLate is told of it if it comes */
  giveUp(id: number, onLate?: OnLate): void {
    this.#isDoubtful = this.standsStill(this.#settings.clock.now());
    this.#pending.giveUp(id, onLate);
    if (this.#pending.givenUp > MAX_GIVEN_UP) {
      this.destroy(new KeylessError('ERR_KEYLESS_TIMEOUT', `${this.#name} leaves requests unanswered.`));
    }
  }

  /** Takes no more requests, and ends when the last one is answered. */
  leave(): void {
    this.#isLeaving = true;
    this.#endIfIdle();
  }

  destroy(error: unknown): void {
    this.#error ??= error;
    this.#socket.destroy();
    this.#onClose();
  }

  get #name(): string {
    return `The key server ${this.#settings.address.name}`;
  }

  #open(): tls.TLSSocket {
    const { address, servername, secureContext, lookup } = this.#settings;
    const name = servername ?? (isIP(address.host) === 0 ? address.host : undefined);
    const options: tls.ConnectionOptions & { readonly onread: OnReadOpts } = {
      host: address.host,
      port: address.port,
      ...(name === undefined ? {} : { servername: name }),
      lookup: this.#noting(lookup === undefined ? this.#lookup : guarded(lookup)),
      secureContext,
      ALPNProtocols: [ALPN_PROTOCOL],
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      onread: { buffer: READ_BUFFER, callback: (bytes) => this.#read(READ_BUFFER.subarray(0, bytes)) },
    };
    const socket = tls.connect(options);
    socket.unref();
    // Choosing between IPv6 and IPv4 gives the socket another handle, which has to be told again.
    socket.on('connect', () => socket.unref());
    socket.setNoDelay(true);
    socket.on('secureConnect', () => this.#greet());
    // Node tells of a record that does not verify, and leaves the connection open until something is written (20 to 26).
    socket.on('error', (error: unknown) => this.destroy(error));
    socket.on('close', () => this.#onClose());
    return socket;
  }

  /** Node's event comes before anybody can listen where the answer is there at once. */
  #noting(lookup: LookupFunction): LookupFunction {
    return (hostname, options, callback) =>
      lookup(hostname, options, (...answer) => {
        this.#isFound = !answer[0];
        callback(...answer);
      });
  }

  readonly #lookup: LookupFunction = (hostname, options, callback) => {
    this.#takeLookupBack = systemLookups.ask(hostname, options, callback);
  };

  /** Asks something, to learn whether the key server accepts us and what it can do. */
  #greet(): void {
    const ours = this.#socket.alpnProtocol === ALPN_PROTOCOL;
    if (ours && this.#socket.getProtocol() !== 'TLSv1.3') {
      this.destroy(
        new KeylessError('ERR_KEYLESS_PROTOCOL', `${this.#name} speaks ${ALPN_PROTOCOL} without TLS 1.3.`),
      );
      return;
    }
    this.profile = ours ? 'ours' : 'field';
    this.#isUnanswered = true;
    const sentAt = Date.now();
    this.request(ours ? capabilitiesRequest() : pingRequest(), (answer) => this.#onGreeted(answer, sentAt));
  }

  /** @param sentAt milliseconds since 1970, by this machine's clock: for nothing but a comparison */
  #onGreeted(answer: Answer | KeylessError, sentAt: number): void {
    if (answer instanceof KeylessError || this.#state !== 'connecting') return;
    if (answer.kind === 'result') {
      this.capabilities = decodeCapabilities(answer.payload);
      this.#maxInFlight = this.capabilities.limits.inFlight;
      const { time } = this.capabilities;
      if (time !== undefined) this.clockSkewMs = time - (sentAt + Date.now()) / 2;
    }
    this.#connecting.cancel();
    this.#state = 'ready';
    this.#isUnanswered = false;
    this.#heartbeat = new Heartbeat(this.#settings, {
      isWaiting: () => this.#pending.unanswered > 0,
      ping: () => void this.request(pingRequest(), () => undefined),
      onSilence: (ms) =>
        this.destroy(
          new KeylessError('ERR_KEYLESS_CONNECTION', `${this.#name} answered nothing for ${ms} ms.`),
        ),
    });
    this.#events.onReady();
  }

  readonly #flush = (): void => {
    if (this.#state === 'closed') return;
    const frames = this.#batch.take();
    if (frames.length > 0) this.#socket.write(frames);
  };

  /** @returns whether to read on */
  #read(chunk: Buffer): boolean {
    this.#decoder.push(chunk);
    try {
      for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next())
        this.#take(frame);
    } catch (error) {
      this.destroy(error);
      return false;
    }
    this.#events.onAnswers();
    return true;
  }

  #take({ id, items }: Frame): void {
    this.#heartbeat?.onFrame();
    if (items.payload !== undefined) items.payload = Buffer.from(items.payload);
    const answer = decodeAnswer(items);
    if (answer === undefined)
      throw new KeylessError('ERR_KEYLESS_PROTOCOL', `${this.#name} sent what is no answer.`);
    if (isGoodbye(id, answer)) {
      this.#events.onGoodbye();
      return;
    }
    if (answer.kind !== 'pong') {
      this.#progressAt = this.#settings.clock.now();
      this.#isDoubtful = false;
    }
    this.#pending.settle(id, answer);
    if (this.#isLeaving) this.#endIfIdle();
  }

  #endIfIdle(): void {
    if (this.#pending.waiting === 0) this.#socket.end();
  }

  #onClose(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#takeLookupBack?.();
    this.#connecting.cancel();
    this.#heartbeat?.stop();
    // Whom we have given up did not end it: one that is frozen will be asked again, one that does not accept us in vain.
    const endedUnanswered = this.#isUnanswered && !(this.#error instanceof KeylessError);
    const error = connectionError(this.#error, this.#settings.address.name, endedUnanswered);
    this.#events.onClose(error, refusalOf(error, endedUnanswered));
    this.#pending.fail(error);
  }
}

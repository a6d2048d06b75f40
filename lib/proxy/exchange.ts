/**
 * One request on its way: to the backend over HTTP/1.1 or HTTP/2, and the answer back. Both directions are streams that
 * slow each other down; when one side breaks off, so does the other, so that a cut answer is never taken for a whole one. When
 * there is an answer, the request has had its use: what is not sent of it is not sent any more, and what is still to come is
 * read and dropped, so that its client comes to read the answer.
 *
 * States, one way: asked -> answered (the backend's head has come) -> done; or asked -> done, without an answer.
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Readable, Writable } from 'node:stream';
import {
  BackendTimeout,
  CLIENT_GONE,
  ClientFault,
  ClientGone,
  ClientStalled,
  CutOff,
  statusOf,
} from './failure.ts';
import { type FrontRequest, type FrontResponse, hasBody, isHttp2, MAX_STREAMS } from './front-request.ts';
import { type StallLimits, StallWatch } from './stall-watch.ts';

/** The head of a backend's answer; the fields are end-to-end ones. */
export interface AnswerHead {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Readable;
  /** Whether its end has come, told by what is spoken: `end` of the body alone may be that of a connection. */
  isWhole(): boolean;
  /** Asked when the body has ended. */
  trailers(): OutgoingHttpHeaders;
}

/** Who has a request sent. */
export interface Sender {
  /** @param to takes the request's body; called once, as soon as there is a connection for it */
  passBody(to: Writable): void;
  /** What an answer with status 103 says, before the answer (RFC 8297). */
  passHints(headers: IncomingHttpHeaders): void;
}

/** A request that a backend has been sent, over either version of HTTP. */
export interface Sent {
  readonly answer: Promise<AnswerHead>;
  /** Ends it at once, whatever state it is in. @param error as its answer, if there is none */
  destroy(error?: Error): void;
}

export interface ExchangeResult {
  readonly status: number;
  readonly bytes: number;
  readonly error: Error | undefined;
}

const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205]);
/** RFC 9113 §7. */
const NO_ERROR = 0x0;
const INTERNAL_ERROR = 0x2;

/** A request that went into a kept connection which the backend had closed, or did not want it on: it may be sent again. */
export class StaleConnection extends Error {
  readonly code = 'ECONNRESET';
  /** It has enough to do with other requests, which are being answered. */
  readonly isFull: boolean;

  constructor(isFull = false) {
    super();
    this.isFull = isFull;
  }
}

/** How often a request may be sent again. */
interface Repeats {
  /** The next connection may end at the same time: backends end each after so many requests. */
  readonly stale: number;
  /** Each of a client's other requests may fill a connection. */
  readonly full: number;
}
const MOST_REPEATS: Repeats = { stale: 3, full: MAX_STREAMS };
const NO_REPEATS: Repeats = { stale: 0, full: 0 };

/** RFC 9110 §9.2.2 and RFC 9113 §8.7 allow it again. @returns `undefined`: that was often enough */
function repeatsLeft({ stale, full }: Repeats, { isFull }: StaleConnection): Repeats | undefined {
  const left = isFull ? { stale, full: full - 1 } : { stale: stale - 1, full };
  return Math.min(left.stale, left.full) < 0 ? undefined : left;
}

export class Exchange {
  readonly #request: FrontRequest;
  readonly #response: FrontResponse;
  readonly #send: (sender: Sender) => Sent;
  readonly #limits: StallLimits;
  readonly #closing: () => boolean;
  readonly #lastAnswer: () => OutgoingHttpHeaders;
  #sent: Sent | undefined;
  #status = 0;
  #bytes = 0;
  #settle: (result: ExchangeResult) => void = () => undefined;
  #done = false;
  #watch: StallWatch | undefined;
  /** Takes the request's body. */
  #taking: Writable | undefined;
  /** Whether the client is to read first. */
  #blocked = false;

  /**
   * @param closing whether clients are asked to connect anew
   * @param lastAnswer makes an answer the last one of its connection: fields that say so
   */
  constructor(
    request: FrontRequest,
    response: FrontResponse,
    {
      send,
      limits,
      closing,
      lastAnswer,
    }: {
      send: (sender: Sender) => Sent;
      limits: StallLimits;
      closing: () => boolean;
      lastAnswer: () => OutgoingHttpHeaders;
    },
  ) {
    this.#request = request;
    this.#response = response;
    this.#send = send;
    this.#limits = limits;
    this.#closing = closing;
    this.#lastAnswer = lastAnswer;
  }

  /** Never rejects. */
  run(): Promise<ExchangeResult> {
    return new Promise((resolve) => {
      this.#settle = resolve;
      this.#watch = new StallWatch(
        this.#limits,
        () => this.#waitsForClient(),
        (ofClient) => this.#stalled(ofClient),
      );
      this.#response.on('close', () => this.#closed());
      // That nothing moves on its connection is the watch's to judge.
      this.#response.on('timeout', () => undefined);
      // A client that breaks off tells by `close`; its error has nothing to add.
      this.#request.on('error', () => undefined);
      this.#response.on('error', () => undefined);
      this.#ask(hasBody(this.#request) ? NO_REPEATS : MOST_REPEATS);
    });
  }

  /** What comes of the request cannot be read. */
  refuse(fault: ClientFault): void {
    this.#fail(fault);
  }

  /** There is to be no answer here: the connection is another protocol's from now on. */
  leave(status: number): void {
    this.#status = status;
    this.#finish(undefined);
    this.#watch?.end();
  }

  #ask(repeats: Repeats): void {
    let sent: Sent;
    try {
      sent = this.#send({
        passBody: (to) => this.#passBody(to),
        passHints: (headers) => this.#passHints(headers),
      });
    } catch (error) {
      // Node would not send it: a field that the backend's version of HTTP does not know.
      this.#fail(error as Error);
      return;
    }
    this.#sent = sent;
    sent.answer.then(
      (head) => this.#answer(head),
      (error: Error) => {
        const left = error instanceof StaleConnection ? repeatsLeft(repeats, error) : undefined;
        if (left === undefined || this.#done) this.#fail(error);
        else this.#ask(left);
      },
    );
  }

  #passBody(to: Writable): void {
    if (!hasBody(this.#request)) {
      to.end();
      return;
    }
    this.#taking = to;
    for (const event of ['data', 'end']) this.#request.on(event, () => this.#done || this.#watch?.touch());
    this.#request.pipe(to);
    to.on('error', () => undefined);
  }

  /** Links, which is what hints are of, as far as Node.js knows them; HTTP/1.0 has no answer before the answer. */
  #passHints({ link }: IncomingHttpHeaders): void {
    this.#watch?.touch();
    if (link === undefined || this.#done || this.#request.httpVersion === '1.0') return;
    try {
      this.#response.writeEarlyHints({ link: String(link).split(/,\s*(?=<)/) });
    } catch {
      // The answer itself is none the worse for it.
    }
  }

  #answer(head: AnswerHead): void {
    const { status, headers, body } = head;
    if (this.#done) {
      body.destroy();
      return;
    }
    this.#watch?.touch();
    try {
      this.#writeHead(status, headers);
    } catch (error) {
      // A status or a field that the client's version of HTTP does not know, such as 999 in HTTP/2.
      this.#fail(error as Error);
      return;
    }
    this.#status = status;
    body.on('data', (chunk: Buffer) => this.#pass(chunk, head));
    body.on('end', () => this.#end(head));
    body.on('error', (error) => this.#fail(error));
    body.on('close', () => this.#fail(new CutOff()));
  }

  #writeHead(status: number, headers: OutgoingHttpHeaders): void {
    if (this.#closing()) Object.assign(headers, this.#lastAnswer());
    // No body comes with these, whatever the backend has announced or sends (RFC 9110 §8.6, §15.3.6).
    if (WITHOUT_BODY.has(status)) delete headers['content-length'];
    (this.#response as ServerResponse).writeHead(status, headers);
  }

  #pass(chunk: Buffer, { body, isWhole }: AnswerHead): void {
    this.#watch?.touch();
    if (WITHOUT_BODY.has(this.#status)) return;
    this.#bytes += chunk.length;
    // What is left of a whole answer would be lost with its connection.
    if ((this.#response as ServerResponse).write(chunk) || isWhole()) return;
    body.pause();
    this.#blocked = true;
    this.#response.once('drain', () => {
      this.#blocked = false;
      this.#watch?.touch();
      body.resume();
    });
  }

  #end({ isWhole, trailers: trailersOf }: AnswerHead): void {
    if (!isWhole()) this.#fail(new CutOff());
    if (this.#done) return;
    const trailers = trailersOf();
    if (Object.keys(trailers).length > 0) (this.#response as ServerResponse).addTrailers(trailers);
    this.#finish(undefined);
    this.#response.end();
    if (this.#taking?.writableFinished === false) this.#sent?.destroy();
    this.#dropRest();
  }

  /** From the end of the answer on, there is as much time for it as a client has that stands still. */
  #dropRest(): void {
    if (this.#taking !== undefined) this.#request.unpipe(this.#taking);
    this.#request.resume();
  }

  /** It does not read, or the backend has everything that it has sent of its request. */
  #waitsForClient(): boolean {
    if (this.#done || this.#blocked) return true;
    return this.#taking !== undefined && !this.#taking.writableEnded && this.#taking.writableLength === 0;
  }

  #stalled(ofClient: boolean): void {
    if (this.#done) this.#breakOff();
    else this.#fail(ofClient ? new ClientStalled() : new BackendTimeout());
  }

  #closed(): void {
    this.#watch?.end();
    if (this.#done) return;
    if (this.#status === 0) this.#status = CLIENT_GONE;
    this.#sent?.destroy(new ClientGone());
    this.#finish(undefined);
  }

  #fail(error: Error): void {
    if (this.#done) return;
    const answered = this.#status !== 0;
    if (!answered) this.#status = statusOf(error);
    this.#finish(error);
    this.#sent?.destroy(error);
    this.#dropRest();
    if (answered) this.#breakOff();
    else this.#answerWith(this.#status);
  }

  /** A connection whose request was not read to its end cannot carry another. */
  #answerWith(status: number): void {
    const response = this.#response as ServerResponse;
    const unread = !isHttp2(this.#request) && !this.#request.complete;
    response.writeHead(status, { 'content-length': 0, ...(unread ? this.#lastAnswer() : {}) });
    response.end();
  }

  #breakOff(): void {
    if (!isHttp2(this.#request)) {
      this.#response.destroy();
      return;
    }
    const { stream } = this.#request;
    // A whole answer counts, also if it is not waited for the rest of its request (RFC 9113 §8.1).
    stream.close(stream.writableFinished ? NO_ERROR : INTERNAL_ERROR);
  }

  #finish(error: Error | undefined): void {
    this.#done = true;
    // What is left is the client's to take.
    this.#watch?.touch();
    const failure = error instanceof ClientFault ? undefined : error;
    this.#settle({ status: this.#status, bytes: this.#bytes, error: failure });
  }
}

/**
 * A key server with real keys that misbehaves on command: it signs as it should until `manner` says otherwise. It speaks
 * by our own encoder; its bytes are right unless the manner is about bytes.
 */
import { generateKeyPairSync, sign as signWith } from 'node:crypto';
import type tls from 'node:tls';
import { encodeError, encodePong, encodeResult } from '../../lib/protocol/answers.ts';
import type { Frame } from '../../lib/protocol/frame-decoder.ts';
import type { WireErrorCode } from '../../lib/protocol/opcodes.ts';
import type { KeyServerSetup, Site } from './key-servers.ts';
import { RudeKeyServer } from './rude-key-server.ts';

/** What it does with a request for a signature. */
export type Manner =
  | 'sign'
  /** A bit of the right signature is flipped. */
  | 'flipped'
  /** Over another message, by the right key. */
  | 'other-message'
  /** Over the right message, by another key of the same type. */
  | 'other-key'
  | 'empty'
  | 'too-long'
  /** As much as a frame holds. */
  | '64-kib'
  /** The right answer, twice. */
  | 'twice'
  /** Before the right answer, wrong ones to ids that were never sent. */
  | 'unknown-ids'
  /** Never. */
  | 'silent'
  /** Frames that are none. */
  | 'garbage'
  | 'hang-up'
  | { readonly error: WireErrorCode | number }
  /** The right answer, so many milliseconds later. */
  | { readonly lateMs: number }
  /** Holds answers back until there are so many, or `release()` is called, and gives them in reverse order. */
  | { readonly reordered: number };

const OTHERS = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
};

const GARBAGE = Buffer.from('0100000800000001110001f0110001f0', 'hex');
/** A frame's body, less what the opcode and the payload's header need. */
const LONGEST_PAYLOAD = 65_535 - 4 - 3;

/** Of ECDSA and RSA-PSS with SHA-256: what TLS 1.3 asks a P-256 and an RSA key for. */
function signatureOf(site: Site, message: Uint8Array, key = site.privateKey): Buffer {
  if (key.asymmetricKeyType !== 'rsa') return signWith('sha256', message, key);
  const PSS_PADDING = 6;
  return signWith('sha256', message, { key, padding: PSS_PADDING, saltLength: 32 });
}

export class BadKeyServer extends RudeKeyServer {
  manner: Manner = 'sign';
  /** Requests for signatures that came. */
  asked = 0;
  readonly #sites: readonly Site[];
  #heldBack: (() => void)[] = [];

  constructor(setup: KeyServerSetup, profile: 'ours' | 'field' = 'ours') {
    super({
      server: setup.server,
      ca: setup.authority.certPem,
      profile,
      onRequest: (frame, socket) => this.#onRequest(frame, socket),
    });
    this.#sites = Object.values(setup.sites);
  }

  #onRequest({ id, items }: Frame, socket: tls.TLSSocket): void {
    this.asked += 1;
    const site = this.#sites.find(({ keyId }) => keyId.equals(items.keyId!));
    const message = items.extraPayload ?? items.payload;
    if (site === undefined || message === undefined) socket.write(encodeError(id, 2));
    else this.#answer(id, site, Buffer.from(message), socket);
  }

  #answer(id: number, site: Site, message: Buffer, socket: tls.TLSSocket): void {
    const { manner } = this;
    const say = (...frames: Buffer[]) => void (socket.writable && socket.write(Buffer.concat(frames)));
    const right = () => encodeResult(id, signatureOf(site, message));
    if (typeof manner === 'object') {
      if ('error' in manner) say(encodeError(id, manner.error as WireErrorCode));
      else if ('lateMs' in manner) setTimeout(() => say(right()), manner.lateMs).unref();
      else this.#holdBack(manner.reordered, () => say(right()));
      return;
    }
    const stray = [encodeResult(3_999_999_999, Buffer.alloc(64)), encodePong(0xfffffffe, undefined)];
    const manners: Record<typeof manner, () => void> = {
      sign: () => say(right()),
      flipped: () => say(encodeResult(id, flipped(signatureOf(site, message)))),
      'other-message': () => say(encodeResult(id, signatureOf(site, Buffer.from('another')))),
      'other-key': () => say(encodeResult(id, signatureOf(site, message, this.#otherKey(site)))),
      empty: () => say(encodeResult(id, Buffer.alloc(0))),
      'too-long': () => say(encodeResult(id, Buffer.concat([signatureOf(site, message), Buffer.alloc(1)]))),
      '64-kib': () => say(encodeResult(id, Buffer.alloc(LONGEST_PAYLOAD, 0x30))),
      twice: () => say(right(), right()),
      'unknown-ids': () => say(...stray, right()),
      silent: () => undefined,
      garbage: () => say(GARBAGE),
      'hang-up': () => void socket.destroy(),
    };
    manners[manner]();
  }

  #otherKey({ privateKey }: Site) {
    return privateKey.asymmetricKeyType === 'rsa' ? OTHERS.rsa : OTHERS.p256;
  }

  #holdBack(count: number, say: () => void): void {
    this.#heldBack.push(say);
    if (this.#heldBack.length >= count) this.release();
  }

  /** Gives the answers that are held back. */
  release(): void {
    const held = this.#heldBack.reverse();
    this.#heldBack = [];
    for (const each of held) each();
  }
}

/** In the middle: an ECDSA signature stays DER. */
function flipped(signature: Buffer): Buffer {
  const bytes = Buffer.from(signature);
  bytes[20]! ^= 1;
  return bytes;
}

/** A listening one, with the keys of all sites of the setup. */
export async function startBadKeyServer(
  setup: KeyServerSetup,
  options: { readonly profile?: 'ours' | 'field'; readonly port?: number } = {},
): Promise<BadKeyServer> {
  const server = new BadKeyServer(setup, options.profile);
  await server.listen(options.port);
  return server;
}

/**
 * The typed contract with the addon, and its loader. Nothing else in the library may load it.
 *
 * The numbers here are native/'s enumerations: change both or neither.
 */
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import { KeylessError } from '../errors.ts';
import { findBinary, isInPlace } from './binary.ts';
import type { PskQuestion } from './psk-question.ts';
import type { RawDigestSigner, RawMessageHash, TakeSignatures } from './raw-signers.ts';

/** Where a handshake stands; what a step returns (native/handshake.h, HandshakeState). */
export const HandshakeStep = {
  WANT_READ: 0,
  WANT_WRITE: 1,
  WANT_SIGN: 2,
  WANT_DECRYPT: 3,
  DONE: 4,
  FAILED: 5,
  WANT_ALPN: 6,
  WANT_PSK: 7,
  WANT_TELLING: 8,
} as const;

/** What a handshake's turn is for (native/environment.h, TurnKind). */
export const TurnKind = { TELL: 0, TELL_IN_ONE_GO: 1, ASK: 2 } as const;

/** Why a result was not taken (native/operation.h, ResultCheck). */
export const ResultProblem = {
  WRONG_SIZE: -1,
  MALFORMED: -2,
  BAD_SIGNATURE: -3,
  GONE: -4,
} as const;

/** Why a context took no key (native/binding_contexts.cc, KeyProblem). */
export const KeyProblem = {
  NO_CONTEXT: -1,
  UNSUPPORTED_KEY: -3,
  MISMATCH: -4,
} as const;

/** A pending operation as OpenSSL asked for it. */
export interface RawOperation {
  readonly key: number;
  /** RFC 8446 §4.2.3 code point; 0: decrypt. */
  readonly scheme: number;
  readonly clientVersion: number;
  readonly input: Buffer;
  /** The SNI host name, ASCII (RFC 6066 §3); `undefined`: none. */
  readonly name: Buffer | undefined;
}

/** What a socketless endpoint is made of; native/endpoint.h. */
export interface RawEndpointOptions {
  readonly server: boolean;
  readonly certificateChains: readonly string[];
  readonly ca: string | undefined;
  /** Up to TLS 1.2; empty: none of them. */
  readonly ciphers: string | undefined;
  /** Of TLS 1.3. */
  readonly cipherSuites: string | undefined;
  readonly sigalgs: string | undefined;
  readonly groups: string | undefined;
  /** What a client sends. */
  readonly servername: string | undefined;
  /** What the server's certificate must be for: a host name or an IP address. */
  readonly certificateName: string | undefined;
  readonly alpn: Uint8Array;
  readonly minVersion: number | undefined;
  readonly maxVersion: number | undefined;
  readonly requestCert: boolean;
}

/** What the binary has for everybody who loads it. */
interface Binary {
  readonly platformProblem: string;
  /** The functions for one copy of this file: others may have the same binary, and its exports. */
  open?(): Addon;
}

/** The addon's functions; each is described where it is defined, in native/binding*.cc. */
export interface Addon {
  setParkListener(listener: (id: number, atGate: boolean) => void): void;
  setFloodListener(listener: () => void): boolean;
  setTurnListeners(
    drive: () => void,
    takeTurn: (id: number) => void,
    endTurn: (id: number, isGood: boolean) => void,
  ): void;
  stats(): { handshakes: number; paused: number };
  beginContext(): void;
  useKey(
    publicKey: Uint8Array,
    digests: number,
    pss: boolean,
    decrypts: boolean,
    becomesCurrent: boolean,
  ): number;
  wipeFreed<T>(work: () => T): T;
  nativeKeys(): Buffer[];
  keyOfPem(pem: Uint8Array, passphrase: string | undefined): Buffer[];
  hardenProcess(): number;
  ignoreSignals(): void;
  becomeProgram(words: readonly Uint8Array[]): number;
  endProcess(code: number): never;
  startChildProgram(
    words: readonly Uint8Array[],
    environment: readonly Uint8Array[],
  ): readonly [pid: number, channel: number] | number;
  endChildProgram(pid: number): number | undefined;
  lockFile(descriptor: number): number;
  tieTo(descriptor: number): boolean;
  chainLines(lines: Uint8Array, ends: Uint32Array, count: number, head: Uint8Array): boolean;
  isSameName(one: Uint8Array, other: Uint8Array): boolean;
  keyId(certificate: Uint8Array): Buffer | undefined;
  nameContext(): number;
  keyIdsOfContext(context: number): Buffer[];
  trustOfContext(
    context: number,
    ownAuthorities: boolean,
  ): readonly [certificates: Buffer[] | undefined, lists: Buffer[], securityLevel: number] | undefined;
  limitPeers(certificateBytes: number): boolean;
  nameSessions(): boolean;
  setTicketKeys(context: number, keys: Uint8Array): boolean;
  takeReleasedKey(): number;
  attachLast(): number;
  limitSignatures(id: number, own: string, peers: string): void;
  mayTakeKey(id: number): boolean;
  isPutOff(id: number): boolean;
  helloExtension(id: number, type: number): Buffer | undefined;
  peekRead(id: number): Buffer | undefined;
  arm(id: number): void;
  alpnOffer(id: number): Buffer | undefined;
  decideAlpn(id: number, offset: number): number;
  pskQuestion(id: number): PskQuestion | undefined;
  decidePsk(id: number, identity: string, psk: Uint8Array): number;
  goOn(id: number): number;
  takeParked(): number;
  takeFlooded(): number;
  drive(id: number, asksForAlpn: boolean, asksForPsk: boolean): number;
  refuse(id: number, asksForAlpn: boolean, asksForPsk: boolean): number;
  readonly scratchBytes: number;
  setScratch(scratch: Uint8Array): void;
  operation(id: number): number;
  input(id: number): Buffer | undefined;
  supply(id: number, bytes: Uint8Array, verify: boolean): number;
  fail(id: number): number;
  replay(id: number): boolean;
  /** Hands Node all that wait, one after the other. @throws what Node's own call would that had brought them */
  replayAll(id: number): void;
  putOff(id: number, kind: number): boolean;
  wakeBy(descriptor: number): void;
  hasError(descriptor: number): boolean;
  putErrorBack(id: number): void;
  lastSignatureIsBad(id: number): boolean;
  clearErrors(): void;
  dispose(id: number): void;
  takeReason(): string | undefined;
  createEndpoint(options: RawEndpointOptions): number | undefined;
  startEndpoint(id: number): number | undefined;
  feed(id: number, bytes: Uint8Array): boolean;
  drain(id: number): Buffer;
  pendingOutput(id: number): number;
  read(id: number, into: Uint8Array): number;
  write(id: number, bytes: Uint8Array): boolean;
  describe(id: number): {
    protocol: string;
    cipher: string | undefined;
    alpnProtocol: string | undefined;
    servername: string | undefined;
  };
  removeEndpoint(id: number): void;
  createDigestSigner(pkcs8: Uint8Array, hash: string, pss: boolean): RawDigestSigner | undefined;
  signatureBytes(signer: RawDigestSigner): number;
  signDigest(signer: RawDigestSigner, digest: Uint8Array, into: Uint8Array): number;
  signMessage(signer: RawDigestSigner, message: Uint8Array, into: Uint8Array): number;
  createMessageHash(name: string): RawMessageHash | undefined;
  isDigest(hash: RawMessageHash, message: Uint8Array, digest: Uint8Array): boolean;
  startSigning(threads: number, onSigned: () => void): number;
  queueDigests(id: number, signers: readonly RawDigestSigner[], digests: readonly Uint8Array[]): boolean;
  takeSigned(callback: TakeSignatures): void;
  holdForSigning(hold: boolean): void;
}

/** All of {@link Addon} that can be called; the compiler holds them to it. */
const FUNCTIONS = [
  'setParkListener',
  'setFloodListener',
  'setTurnListeners',
  'stats',
  'beginContext',
  'useKey',
  'wipeFreed',
  'nativeKeys',
  'keyOfPem',
  'hardenProcess',
  'ignoreSignals',
  'becomeProgram',
  'endProcess',
  'startChildProgram',
  'endChildProgram',
  'lockFile',
  'tieTo',
  'chainLines',
  'isSameName',
  'keyId',
  'nameContext',
  'keyIdsOfContext',
  'trustOfContext',
  'limitPeers',
  'nameSessions',
  'setTicketKeys',
  'takeReleasedKey',
  'attachLast',
  'limitSignatures',
  'mayTakeKey',
  'isPutOff',
  'helloExtension',
  'peekRead',
  'arm',
  'alpnOffer',
  'decideAlpn',
  'pskQuestion',
  'decidePsk',
  'goOn',
  'takeParked',
  'takeFlooded',
  'drive',
  'refuse',
  'setScratch',
  'operation',
  'input',
  'supply',
  'fail',
  'replay',
  'replayAll',
  'putOff',
  'wakeBy',
  'hasError',
  'putErrorBack',
  'lastSignatureIsBad',
  'clearErrors',
  'dispose',
  'takeReason',
  'createEndpoint',
  'startEndpoint',
  'feed',
  'drain',
  'pendingOutput',
  'read',
  'write',
  'describe',
  'removeEndpoint',
  'createDigestSigner',
  'signatureBytes',
  'signDigest',
  'signMessage',
  'createMessageHash',
  'isDigest',
  'startSigning',
  'queueDigests',
  'takeSigned',
  'holdForSigning',
] as const satisfies readonly (keyof Addon)[];

type Callable = { [Name in keyof Addon]: Addon[Name] extends (...values: never[]) => unknown ? Name : never };
type Forgotten = Exclude<Callable[keyof Addon], (typeof FUNCTIONS)[number]>;
const NONE_FORGOTTEN: [Forgotten] extends [never] ? true : Forgotten = true;

/** A binary that was built before the sources changed would fail somewhere, later, with less to say. */
export function isCurrent(candidate: Addon): boolean {
  return NONE_FORGOTTEN && FUNCTIONS.every((name) => typeof candidate[name] === 'function');
}

function addonsDisabled(cause: unknown): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_PLATFORM',
    'Node.js may not load the binary of keyless-tls: start it without --no-addons, and with --allow-addons where it has ' +
      'the permission model.',
    { cause },
  );
}

function bundled(): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_PLATFORM',
    'The code of keyless-tls is part of a bundle, and its binary cannot be: leave the package external (for esbuild, ' +
      '--external:keyless-tls), and install it where the bundle is.',
  );
}

function load(): Binary {
  if (!isInPlace()) throw bundled();
  const path = findBinary();
  if (path === undefined) {
    throw new KeylessError(
      'ERR_KEYLESS_PLATFORM',
      `There is no binary of keyless-tls for ${process.platform}-${process.arch}. ` +
        'Build it in a clone of the repository with "npm install".',
    );
  }
  try {
    return createRequire(import.meta.url)(path) as Binary;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_DLOPEN_DISABLED') throw addonsDisabled(cause);
    throw new KeylessError(
      'ERR_KEYLESS_PLATFORM',
      'The binary of keyless-tls cannot be loaded: it needs a Node.js that exports OpenSSL 3, as the official ' +
        'builds of Node.js 20 to 26 do (Electron, Bun, Deno and musl builds do not).',
      { cause },
    );
  }
}

let loaded: Addon | undefined;

/**
 * The addon, loaded at the first call.
 *
 * @throws KeylessError ERR_KEYLESS_PLATFORM where handshakes cannot be paused
 */
export function addon(): Addon {
  if (loaded !== undefined) return loaded;
  const binary = load();
  if (binary.platformProblem !== '') {
    throw new KeylessError('ERR_KEYLESS_PLATFORM', binary.platformProblem);
  }
  const candidate = binary.open?.();
  if (candidate === undefined || !isCurrent(candidate)) {
    throw new KeylessError(
      'ERR_KEYLESS_PLATFORM',
      'The binary of keyless-tls is older than its JavaScript. Build it anew with "npm run build:native".',
    );
  }
  scratch = Buffer.alloc(candidate.scratchBytes);
  candidate.setScratch(scratch);
  loaded = candidate;
  return loaded;
}

/** @returns `undefined`: this Node.js does not load it */
export function addonIfAny(): Addon | undefined {
  try {
    return addon();
  } catch {
    return undefined;
  }
}

let scratch = Buffer.alloc(0);
const UINT32_BYTES = 4;
const HEADER_BYTES = 4 * UINT32_BYTES;
const readUint32 = endianness() === 'LE' ? Buffer.prototype.readUInt32LE : Buffer.prototype.readUInt32BE;

/** @returns the numbers of the handshakes that have parked since the last call, oldest first */
export function takeParked(): number[] {
  return takeIds(() => addon().takeParked());
}

/** @returns the numbers of the handshakes that wait while their peers send, and send */
export function takeFlooded(): number[] {
  return takeIds(() => addon().takeFlooded());
}

function takeIds(take: () => number): number[] {
  const most = scratch.length / UINT32_BYTES;
  const ids: number[] = [];
  let count = most;
  while (count === most) {
    count = take();
    for (let index = 0; index < count; index += 1) ids.push(readUint32.call(scratch, index * UINT32_BYTES));
  }
  return ids;
}

/** @returns what a handshake waits for; `undefined`: nothing */
export function pendingOperation(id: number): RawOperation | undefined {
  const size = addon().operation(id);
  if (size === 0) return undefined;
  const nameSize = readUint32.call(scratch, 12);
  const nameEnd = HEADER_BYTES + nameSize;
  const fits = nameEnd + size <= scratch.length;
  const bytes = Buffer.from(scratch.subarray(HEADER_BYTES, fits ? nameEnd + size : nameEnd));
  const input = fits ? bytes.subarray(nameSize) : addon().input(id);
  if (input === undefined) return undefined;
  return {
    key: readUint32.call(scratch, 0),
    scheme: readUint32.call(scratch, 4),
    clientVersion: readUint32.call(scratch, 8),
    input,
    name: nameSize === 0 ? undefined : bytes.subarray(0, nameSize),
  };
}

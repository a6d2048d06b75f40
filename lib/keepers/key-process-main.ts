/**
 * The process that holds an app's keys: `isolate` starts it. It knows nothing but its socket to the app, signs with the
 * code of the key server, and ends when the socket does.
 */
import { Socket } from 'node:net';
import { type Hardening, hardenProcess, ignoreSignals } from '../engine/hardening.ts';
import { encodeError, encodeResult } from '../protocol/answers.ts';
import { FrameDecoder } from '../protocol/frame-decoder.ts';
import { SIGNING_CONTEXTS } from '../protocol/handshake-message.ts';
import { decodeRequest } from '../protocol/request-decoder.ts';
import type { Items } from '../protocol/tags.ts';
import type { Asking, Outcome } from '../server/asking.ts';
import { EVERYTHING } from '../server/grants.ts';
import { Operations } from '../server/operations.ts';
import { policyOf } from '../server/policy.ts';
import { REFUSALS, refusalOfCode } from '../server/refusals.ts';
import { AnswerOrder } from './answer-order.ts';
import { CHANNEL_FD, EXIT_DEBUGGED, EXIT_EXPOSED, REQUIRE_HARDENING } from './holder-child.ts';
import { KeptKeys } from './kept-keys.ts';
import { type ChannelFunction, channelFunction, FIRST_WORD, MAX_UNANSWERED } from './key-channel.ts';

/** The app may do with its keys what it may do natively: old versions of TLS and clients' signatures as well. */
const POLICY = policyOf({ contexts: SIGNING_CONTEXTS, allowDecrypt: 'every-key', allowLegacyHashes: true });
const NOTHING = new Uint8Array(0);
const COLLECT_AFTER_MS = 1000;

const keys = new KeptKeys();
const operations = new Operations(keys, POLICY, undefined, MAX_UNANSWERED, undefined, MAX_UNANSWERED);
const APP: Asking = {
  ...{ client: 'app', ours: true, key: undefined, repeats: false },
  grant: () => EVERYTHING,
  wanted: () => true,
  waitedMs: () => 0,
};

/** What it still can do. Memory is locked only where the system's limits allow it, which is no fault. */
function exposureOf(hardening: Hardening): string[] {
  const { memoryLocked: _, ...demanded } = hardening;
  return Object.entries(demanded).flatMap(([name, done]) => (done ? [] : [name]));
}

let collects = false;

/** A key is in memory until the garbage collector has had it, which where little happens may be never. Not for each of many keys. */
function collectSoon(): void {
  if (collects) return;
  collects = true;
  setTimeout(() => {
    collects = false;
    globalThis.gc?.();
  }, COLLECT_AFTER_MS);
}

const ON_CHANNEL: Readonly<Record<ChannelFunction, (items: Items) => Outcome>> = {
  keep: ({ payload = NOTHING }) => {
    keys.keep(payload, false);
    return NOTHING;
  },
  keepAlone: ({ payload = NOTHING }) => {
    keys.keep(payload, true);
    return NOTHING;
  },
  drop: ({ keyId = NOTHING }) => {
    keys.drop(keyId);
    collectSoon();
    return NOTHING;
  },
  address: () => keys.address(),
  seal: ({ keyId = NOTHING, payload = NOTHING }) => keys.sealed(keyId, payload) ?? 'key-not-granted',
  open: ({ keyId = NOTHING, payload = NOTHING }) => {
    keys.open(keyId, payload);
    return NOTHING;
  },
};

function perform(items: Items): Outcome | Promise<Outcome> {
  const what = channelFunction(items);
  if (what !== undefined) return ON_CHANNEL[what](items);
  const request = decodeRequest(items);
  if (typeof request === 'number') return refusalOfCode(request);
  if (request.kind === 'sign') return operations.sign(request, APP);
  if (request.kind === 'premaster') return operations.decrypt(request, APP);
  return 'unknown-operation';
}

async function answer(id: number, items: Items): Promise<Buffer> {
  try {
    const outcome = await perform(items);
    return typeof outcome === 'string' ? encodeError(id, REFUSALS[outcome]) : encodeResult(id, outcome);
  } catch {
    return encodeError(id, REFUSALS.failed);
  }
}

function serve(socket: Socket): void {
  const decoder = new FrameDecoder();
  const order = new AnswerOrder();
  socket.on('data', (chunk: Buffer) => {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
      order.send(frame.items.keyId, answer(frame.id, frame.items), (bytes) => socket.write(bytes));
    }
  });
  socket.on('error', () => process.exit());
  socket.on('close', () => process.exit());
}

const [, , hardening] = process.argv;
// Whoever ends the app decides when: who signals all of its processes, one by one, reaches this one too.
ignoreSignals();
process.title = 'keyless-tls keys';
const channel = new Socket({ fd: CHANNEL_FD, readable: true, writable: true });
const exposure = exposureOf(hardenProcess());
if (exposure.length > 0 && hardening === REQUIRE_HARDENING) process.exit(EXIT_EXPOSED);
// A SIGUSR1 that came before it was ignored. One that is not open by now cannot be opened any more.
if (process.getBuiltinModule('node:inspector')?.url() !== undefined) process.exit(EXIT_DEBUGGED);
serve(channel);
// From here on it is given keys.
channel.write(encodeResult(FIRST_WORD, Buffer.from(exposure.join(), 'ascii')));

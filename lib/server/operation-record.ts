/** What there is to tell about one request, without a byte of what was signed or decrypted. */
import { handshakeTranscript } from '../protocol/handshake-message.ts';
import { KEY_ID_BYTES } from '../protocol/key-id.ts';
import type { WireErrorCode } from '../protocol/opcodes.ts';
import { escapePeerText } from '../protocol/peer-text.ts';
import type { Request, SignRequest } from '../protocol/request-decoder.ts';
import type { SigningMethod } from '../protocol/schemes.ts';
import type { Items } from '../protocol/tags.ts';
import type { Asking, Outcome } from './asking.ts';
import type { Peer, ServerOperation } from './channels.ts';
import { hex, idOf } from './key-names.ts';
import { contextOf } from './key-rules.ts';
import { REFUSALS, type Refusal } from './refusals.ts';

/** Methods are a few constants. */
const methodNames = new Map<SigningMethod, string>();

function methodName({ method }: SignRequest): string {
  let name = methodNames.get(method);
  if (name === undefined) {
    name = method.hash === undefined ? method.algorithm : `${method.algorithm} ${method.hash}`;
    methodNames.set(method, name);
  }
  return name;
}

/** Of a blind digest nothing else is known. */
function transcriptOf(context: NonNullable<ServerOperation['context']>, { message, digest }: SignRequest) {
  return hex(context === 'digest' ? digest! : handshakeTranscript(context, message!));
}

/** As a peer says it: there may be no such key. */
function idAsked({ keyId }: Items): string | undefined {
  return keyId?.length === KEY_ID_BYTES ? hex(keyId) : undefined;
}

/** In a word, for logs and metrics. Each signature that is made is one `ok`. */
export function resultOf({ refusal, repeats }: ServerOperation): 'ok' | 'repeated' | Refusal {
  return refusal ?? (repeats ? 'repeated' : 'ok');
}

export class OperationRecord {
  readonly #peer: Peer;
  readonly #items: Items;
  readonly request: Request | WireErrorCode;
  readonly #startedAt: number;

  /** @param startedAt milliseconds on the clock that {@link end} uses */
  constructor(peer: Peer, items: Items, request: Request | WireErrorCode, startedAt: number) {
    this.#peer = peer;
    this.#items = items;
    this.request = request;
    this.#startedAt = startedAt;
  }

  end(outcome: Outcome, now: number, { key, repeats }: Asking): ServerOperation {
    const { request } = this;
    const { servername } = this.#items;
    const sign = typeof request !== 'number' && request.kind === 'sign' ? request : undefined;
    const context = sign && contextOf(sign);
    return {
      peer: this.#peer,
      kind: typeof request === 'number' ? 'invalid' : request.kind,
      method: sign && methodName(sign),
      keyId: key === undefined ? idAsked(this.#items) : idOf(key),
      keyFound: key !== undefined,
      context,
      transcript: context && transcriptOf(context, sign),
      servername: servername && escapePeerText(servername),
      repeats,
      refusal: typeof outcome === 'string' ? outcome : undefined,
      errorCode: typeof outcome === 'string' ? REFUSALS[outcome] : undefined,
      durationMs: now - this.#startedAt,
    };
  }
}

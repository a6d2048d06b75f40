/** What the process of an app and the processes of its keys say to each other, beside the operations of the wire. */

import { Opcode } from '../protocol/opcodes.ts';
import type { Items } from '../protocol/tags.ts';

/** Operations that the process of the keys may have before it at once: more than an app's handshakes can be. */
export const MAX_UNANSWERED = 65_535;

/**
 * The id of the first word of a process, which nobody asked for: its payload tells what the process could not give up, as names of
 * {@link Hardening}, separated by commas. It is sent nothing before that.
 */
export const FIRST_WORD = 0;

/** Custom functions of the wire. */
const FUNCTIONS = {
  /** Hands a key over; the payload is the key, PKCS#8 DER. */
  keep: 'isolate:keep',
  /** The same, of a key that the process must give to nobody. */
  keepAlone: 'isolate:keep-alone',
  /** Tells that nobody will ask for a key any more, by its id. */
  drop: 'isolate:drop',
  /** Asks for the address that keys are sealed for. */
  address: 'isolate:address',
  /** Asks for a key, by its id, sealed for the address in the payload. */
  seal: 'isolate:seal',
  /** Hands over a key, by its id, that was sealed for this process. */
  open: 'isolate:open',
} as const;

export type ChannelFunction = keyof typeof FUNCTIONS;

const BY_NAME = new Map(Object.entries(FUNCTIONS).map(([key, name]) => [name, key as ChannelFunction]));

export function channelRequest(what: ChannelFunction, items: Pick<Items, 'payload' | 'keyId'> = {}): Items {
  return {
    ...items,
    opcode: Uint8Array.of(Opcode.CUSTOM_FUNCTION),
    functionName: Buffer.from(FUNCTIONS[what], 'ascii'),
  };
}

/** @returns `undefined`: the request is another */
export function channelFunction({ functionName }: Items): ChannelFunction | undefined {
  return functionName && BY_NAME.get(Buffer.from(functionName).toString('latin1') as never);
}

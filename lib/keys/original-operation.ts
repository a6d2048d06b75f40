/**
 * Keys that wrap one of ours hand on copies of the engine's operations, such as `{ ...operation, deadline }`. What an operation has on
 * demand only, its addresses and its signal, is not in a copy; what it was made of is.
 */
import { isUint8Array } from 'node:util/types';
import { KeylessError } from '../errors.ts';
import type { Operation } from './private-key.ts';

/** Where an operation of the engine, and each copy of it, has that operation. */
export const kOriginal = Symbol('keyless-tls operation');

type Traced = Operation & { readonly [kOriginal]?: Operation };

/** @returns the engine's; the operation itself where it is none of the engine's, nor a copy of one, nor anything */
export function originalOf(operation: Traced): Operation {
  return (operation as Traced | undefined)?.[kOriginal] ?? operation;
}

/** @returns a copy with what its original has on demand, where it has not got that */
function wholeCopy<T extends Traced>(copy: T): T {
  const original = copy[kOriginal];
  if (original === undefined || ('signal' in copy && 'peerAddress' in copy && 'localAddress' in copy))
    return copy;
  const { peerAddress, localAddress, signal } = original;
  return Object.assign({ peerAddress, localAddress, signal }, copy);
}

function isSignal(value: unknown): boolean {
  const { aborted, addEventListener, removeEventListener } = Object(value) as Partial<AbortSignal>;
  return (
    typeof aborted === 'boolean' &&
    typeof addEventListener === 'function' &&
    typeof removeEventListener === 'function'
  );
}

function isOrNothing(value: unknown, type: 'string' | 'number'): boolean {
  return value === undefined || (typeof value === type && !Number.isNaN(value));
}

/** Whoever writes a PrivateKey may make an operation of his own, and of a wrong deadline nothing would ever come. */
function whatIsWrong(copy: Operation, input: 'message' | 'ciphertext'): string | undefined {
  if (Object(copy) !== copy) return 'members must be there';
  const { keyId, servername, deadline, signal } = copy;
  const bytes: unknown = Reflect.get(copy, input);
  if (!isUint8Array(bytes)) return `"${input}" must be a Uint8Array`;
  if (!isUint8Array(keyId)) return '"keyId" must be a Uint8Array, the key id of the certificate';
  if (!isOrNothing(servername, 'string')) return '"servername" must be a string, or undefined';
  if (!isOrNothing(deadline, 'number')) return '"deadline" must be a number of milliseconds, or undefined';
  if (signal !== undefined && !isSignal(signal)) return '"signal" must be an AbortSignal, or undefined';
  return undefined;
}

/**
 * @param input its message or ciphertext
 * @returns the operation, with all that its original has; an error where it is of somebody's own making, and cannot be asked for
 */
export function usableOperation<T extends Traced>(
  operation: T,
  input: 'message' | 'ciphertext',
): T | KeylessError {
  if (operation !== undefined && operation?.[kOriginal] === operation) return operation;
  const wrong = whatIsWrong(operation, input);
  if (wrong === undefined) return wholeCopy(operation);
  return new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `The operation's ${wrong}. Hand on the operation that your PrivateKey was given, or a copy with changes: { ...operation, deadline }.`,
  );
}

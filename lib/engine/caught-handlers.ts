/**
 * What handlers throw while a handle of Node's is called with JavaScript below: V8 of Node 22 and later forgets the exception there; on
 * Node 20 no further handler is called, and where the handle writes to a stream of the user's, the process ends.
 */
import { throwLater } from './throw-later.ts';
import type { TlsHandle } from './tls-handle.ts';

/** By which Node's handle calls handlers of a handshake's events. */
const NAMES = [
  'onhandshakestart',
  'onhandshakedone',
  'onkeylog',
  'onnewsession',
  'onocspresponse',
  'onerror',
];

type Methods = Record<string, (...values: unknown[]) => unknown>;

function caught(method: Methods[string]): Methods[string] {
  return function handler(this: unknown, ...values) {
    try {
      return method.apply(this, values);
    } catch (error) {
      throwLater(error);
      return undefined;
    }
  };
}

/** @param work calls the handle; what handlers throw meanwhile is uncaught, soon */
export function catchHandlers(handle: TlsHandle, work: () => void): void {
  const methods = handle as unknown as Methods;
  const names = NAMES.filter((name) => Object.hasOwn(methods, name) && typeof methods[name] === 'function');
  const replaced = names.map((name) => ({ name, method: methods[name]!, ours: caught(methods[name]!) }));
  for (const { name, ours } of replaced) methods[name] = ours;
  try {
    work();
  } finally {
    // A handler may have put another one there.
    for (const { name, method, ours } of replaced) if (methods[name] === ours) methods[name] = method;
  }
}

/** Callbacks of Node's that must not throw while JavaScript of ours is below them. */
import { throwLater } from './throw-later.ts';
import { standIn, type TlsHandle } from './tls-handle.ts';

/** A renegotiation may decrypt again. */
const guarded = new WeakSet<TlsHandle>();

/**
 * After a decryption it is Node, woken by us, that reads the rest of the handshake and calls these; what they throw there would
 * be lost to what comes next.
 */
export function guardCallbacks(handle: TlsHandle): void {
  if (guarded.has(handle)) return;
  guarded.add(handle);
  for (const name of ['onkeylog', 'onnewsession'] as const) {
    const call = handle[name] as (...values: unknown[]) => unknown;
    standIn(handle, name, (...values: unknown[]) => {
      try {
        return call.apply(handle, values);
      } catch (error) {
        throwLater(error);
        return undefined;
      }
    });
  }
}

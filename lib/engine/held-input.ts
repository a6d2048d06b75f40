/**
 * What comes from a stream of the user's while Node's handlers are called. Natively Node is in the middle of its work then, and reads
 * when they have returned: a `secureConnect` listener that writes may be answered before it has.
 */
import { throwLater } from './throw-later.ts';
import { type JsStreamHandle, standIn } from './tls-handle.ts';

/** @param below tells Node of input; @returns gives Node what has come, in order, as long as it takes it, and then throws what a listener has thrown */
export function holdInput(below: JsStreamHandle, work: () => void): (takes: () => boolean) => void {
  const held: Buffer[] = [];
  // Whoever has pushed it may use its memory again.
  standIn(below, 'readBuffer', (chunk) => held.push(Buffer.from(chunk)));
  try {
    work();
  } finally {
    Reflect.deleteProperty(below, 'readBuffer');
  }
  return (takes) => {
    let thrown: { readonly error: unknown } | undefined;
    for (const chunk of held) {
      try {
        if (takes()) below.readBuffer(chunk);
      } catch (error) {
        // A listener's. What the stream has given is not given again.
        if (thrown === undefined) thrown = { error };
        else throwLater(error);
      }
    }
    if (thrown !== undefined) throw thrown.error;
  };
}

/**
 * What holds the process while an operation waits and its socket is not read from. Natively the socket holds it, if the user
 * has not said unref(); a socket that does not read holds nothing.
 */
import { setInterval } from '../timers.ts';
import type { TlsHandle } from './tls-handle.ts';

/** Timers count no further. */
const FOREVER_MS = 2_147_483_647;

let holding = 0;
let timer: NodeJS.Timeout | undefined;

/** One connection's part in it. */
export class ProcessHold {
  private holds = false;

  /** The process does not end by itself until {@link letGo}, unless the user has said unref() to the socket. */
  hold(handle: TlsHandle): void {
    if (this.holds || handle._parent?.hasRef?.() === false) return;
    this.holds = true;
    holding += 1;
    timer ??= setInterval(() => undefined, FOREVER_MS);
    if (holding === 1) timer.ref();
  }

  letGo(): void {
    if (!this.holds) return;
    this.holds = false;
    holding -= 1;
    if (holding === 0) timer?.unref();
  }
}

/** What ends a process with the one that has started it (Linux; native/tether.h). */
import { addonIfAny } from './addon.ts';

/**
 * This process is killed when its parent closes the other end, however that comes about, and whatever this one hangs in.
 *
 * @param descriptor an end of a pipe or of a socket pair that nobody writes to
 * @returns `false`: it is not, for want of the addon or by the system
 */
export function tieTo(descriptor: number): boolean {
  return addonIfAny()?.tieTo(descriptor) ?? false;
}

/** What the addon is to do with one context that is made: it knows the last one. */
import { type Addon, addonIfAny } from './addon.ts';

/**
 * @param make makes one context, or has Node make it, for the connections to come
 * @param apply is left out where there is no addon
 */
export function withLastContext<T>(make: () => T, apply: (native: Addon) => void): T {
  const native = addonIfAny();
  native?.beginContext();
  const made = make();
  if (native !== undefined) apply(native);
  return made;
}

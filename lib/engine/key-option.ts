/** The keys of an app's options, read so that the app cannot tell: Node reads them as well. */
import type { SecureContextOptions } from 'node:tls';
import { types } from 'node:util';

/** Whether code of the app's runs when a property is read: a getter, or a Proxy. */
export function tellsWhenRead(options: object, name: string): boolean {
  for (let each: object | null = options; each !== null; each = Object.getPrototypeOf(each)) {
    if (types.isProxy(each)) return true;
    const property = Object.getOwnPropertyDescriptor(each, name);
    if (property !== undefined) return property.get !== undefined;
  }
  return false;
}

/**
 * The options with other values. Whatever else is asked of them is asked of the app's own object: what is inherited, not
 * enumerable, a getter over private fields or a Proxy's answer is an option to Node, and none may be lost.
 */
function withValues<T extends object>(options: T, values: Readonly<Record<string, unknown>>): T {
  const isGiven = (name: string | symbol): name is string => Object.hasOwn(values, name);
  return new Proxy<T>({} as T, {
    get: (_, name) => (isGiven(name) ? values[name] : Reflect.get(options, name)),
    has: (_, name) => isGiven(name) || Reflect.has(options, name),
    ownKeys: () => Reflect.ownKeys(options),
    getOwnPropertyDescriptor(_, name) {
      const property = Reflect.getOwnPropertyDescriptor(options, name);
      if (property === undefined) return undefined;
      // Of the object behind a Proxy this must hold, which has none; and its reader comes to `get` for a value.
      if (isGiven(name))
        return {
          value: values[name],
          enumerable: property.enumerable ?? false,
          configurable: true,
          writable: true,
        };
      return { ...property, configurable: true };
    },
    getPrototypeOf: () => Reflect.getPrototypeOf(options),
    set: (_, name, value) => !isGiven(name) && Reflect.set(options, name, value),
  });
}

/** The options with another key. */
export function withKey<T extends object>(options: T, key: unknown): T {
  return withValues(options, { key });
}

/** What is read of the options beside what Node reads; in Node's order. */
const OPTIONS_OF_KEYS = ['key', 'passphrase', 'pfx'] as const;

/**
 * @param options as the app has given them, perhaps none, perhaps what Node will refuse
 * @returns the key, and options that can be read again
 */
export function readKeyOption<T extends SecureContextOptions | undefined>(
  options: T,
): { key: unknown; options: T } {
  const isTold =
    typeof options === 'object' &&
    options !== null &&
    OPTIONS_OF_KEYS.some((name) => tellsWhenRead(options, name));
  if (!isTold) return { key: options?.key, options };
  const read = Object.fromEntries(OPTIONS_OF_KEYS.map((name) => [name, options[name]]));
  return { key: read.key, options: withValues(options, read) };
}

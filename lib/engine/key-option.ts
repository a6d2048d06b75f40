/** The `key` of an app's options, read so that the app cannot tell: Node reads it as well. */
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
 * The options with another key. Whatever else is asked of them is asked of the app's own object: what is inherited, not
 * enumerable, a getter over private fields or a Proxy's answer is an option to Node, and none may be lost.
 */
export function withKey<T extends object>(options: T, key: unknown): T {
  return new Proxy<T>({} as T, {
    get: (_, name) => (name === 'key' ? key : Reflect.get(options, name)),
    has: (_, name) => name === 'key' || Reflect.has(options, name),
    ownKeys: () => Reflect.ownKeys(options),
    getOwnPropertyDescriptor(_, name) {
      const property = Reflect.getOwnPropertyDescriptor(options, name);
      if (property === undefined) return undefined;
      // Of the object behind a Proxy this must hold, which has none; and its reader comes to `get` for a value.
      if (name === 'key')
        return { value: key, enumerable: property.enumerable ?? false, configurable: true, writable: true };
      return { ...property, configurable: true };
    },
    getPrototypeOf: () => Reflect.getPrototypeOf(options),
    set: (_, name, value) => name !== 'key' && Reflect.set(options, name, value),
  });
}

/**
 * @param options as the app has given them, perhaps none, perhaps what Node will refuse
 * @returns the key, and options that can be read again
 */
export function readKeyOption<T extends SecureContextOptions | undefined>(
  options: T,
): { key: unknown; options: T } {
  const key: unknown = options?.key;
  if (typeof options !== 'object' || options === null || !tellsWhenRead(options, 'key'))
    return { key, options };
  return { key, options: withKey(options, key) };
}

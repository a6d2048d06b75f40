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
 * @param options as the app has given them, perhaps none, perhaps what Node will refuse
 * @returns the key, and options that can be read again
 */
export function readKeyOption<T extends SecureContextOptions | undefined>(
  options: T,
): { key: unknown; options: T } {
  const key: unknown = options?.key;
  if (typeof options !== 'object' || options === null || !tellsWhenRead(options, 'key'))
    return { key, options };
  return { key, options: Object.create(options, { key: { value: key, enumerable: true } }) };
}

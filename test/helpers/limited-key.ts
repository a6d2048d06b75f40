/** A key that is signed with so often a second, and no more: a token, a busy machine. */
import type { StoredKey } from '../../lib/server/key-store.ts';
import { pemKey } from '../../lib/server/pem-key.ts';
import { SIGNING_THREADS } from '../../lib/server/workplaces.ts';

/**
 * @param perSecond far below what the machine can do, so that the machine is not what is measured
 * @param atOnce signatures that are under way at once, and each takes as much longer
 * @param onSigned called with each signature
 */
export function limitedKey(
  keyPem: string,
  perSecond: number,
  { atOnce = 1, onSigned }: { readonly atOnce?: number; readonly onSigned?: () => void } = {},
): StoredKey {
  const key = pemKey(keyPem, 'limited');
  const { keyId, kind, label } = key;
  const freeAt = Array.from({ length: atOnce }, () => 0);
  let next = 0;
  return {
    ...{ keyId, kind, label, workplace: SIGNING_THREADS },
    sign(...request) {
      const place = next;
      next = (next + 1) % atOnce;
      freeAt[place] = Math.max(performance.now(), freeAt[place]!) + (1000 * atOnce) / perSecond;
      return new Promise((resolve) => {
        const sign = () => {
          onSigned?.();
          resolve(key.sign(...request));
        };
        setTimeout(sign, freeAt[place]! - performance.now());
      });
    },
  };
}

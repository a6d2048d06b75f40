/**
 * `node --import keyless-tls/isolate app.js`: every private key that the app gives to TLS moves into a process of its
 * own, and this one keeps none. Nothing to configure, no key server.
 *
 * An app without a key of its own pays for the patches on Node alone. With the first key, the processes that will hold it
 * are started, and what moves it is loaded while they start.
 */
import { createRequire } from 'node:module';
import { tellsWhenRead } from '../engine/key-option.ts';
import { patchTls, watchTls } from '../engine/patches.ts';
import { holdsNodeKey } from '../engine/sealed-keys.ts';
import { internals } from '../engine/tls-handle.ts';
import { KeylessError } from '../errors.ts';
import { HOLDERS, REQUIRE_HARDENING, requireHardening, startAhead } from '../keepers/holder-child.ts';
// Before the app may put others in their place.
import '../timers.ts';
import { preloadThreads } from './threads.ts';

const KEY_OPTIONS = ['key', 'pfx'] as const;

/** Whether a context with these options may get a private key from Node. */
function mayHoldKey(options: unknown): boolean {
  if (typeof options !== 'object' || options === null) return false;
  return KEY_OPTIONS.some((name) => {
    return tellsWhenRead(options, name) || holdsNodeKey((options as Record<string, unknown>)[name]);
  });
}

function notLoaded(cause: unknown): KeylessError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const why =
    code === 'ERR_REQUIRE_ESM'
      ? 'Node.js does not load ES modules by require(): start it without --no-experimental-require-module (and, on Node.js 20, ' +
        '--experimental-network-imports).'
      : `a file cannot be read: ${message}.`;
  return new KeylessError(
    'ERR_KEYLESS_PLATFORM',
    `The process that is to hold the keys cannot be started, because ${why}`,
    { cause },
  );
}

/** @throws KeylessError ERR_KEYLESS_PLATFORM; the next key tries again */
function loadMover(): void {
  try {
    createRequire(import.meta.url)('./move-keys.js');
  } catch (cause) {
    throw notLoaded(cause);
  }
}

/** @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT */
function readHardening(value: string | undefined): void {
  if (!value) return;
  if (value !== REQUIRE_HARDENING) {
    throw new KeylessError(
      'ERR_KEYLESS_INVALID_ARGUMENT',
      `KEYLESS_TLS_HARDENING is "${REQUIRE_HARDENING}" or not set, and not ${JSON.stringify(value)}.`,
    );
  }
  requireHardening();
}

readHardening(process.env.KEYLESS_TLS_HARDENING);
watchTls({
  onContext(options) {
    if (!mayHoldKey(options)) return;
    startAhead(HOLDERS);
    loadMover();
    watchTls(undefined);
  },
  // Its first key may come inside an SNICallback or an ALPNCallback, when the socket is there.
  onSocket(socket) {
    if (!internals(socket)._tlsOptions.isServer) return;
    try {
      loadMover();
      watchTls(undefined);
    } catch {
      // Said where a key comes.
    }
  },
});
patchTls();
preloadThreads(import.meta.url);

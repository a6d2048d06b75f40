/** Contexts that the engine has node:tls make, by the function that whoever is behind the patches stands behind. */
import type { SecureContext, SecureContextOptions } from 'node:tls';

/** What the types of node:tls do not show: its SecureContext is a function. */
interface TlsModule {
  createSecureContext(options: SecureContextOptions): SecureContext;
  readonly SecureContext: new () => SecureContext;
}

/** Not before a connection needs it: see patches.ts, patchWhenLoaded. */
function nodeTls(): TlsModule {
  return process.getBuiltinModule('node:tls') as unknown as TlsModule;
}

export function makeContext(options: object): SecureContext {
  return nodeTls().createSecureContext(options);
}

/** @param given options of a context, or one that is made */
export function madeContext(given: SecureContextOptions | SecureContext): SecureContext {
  return given instanceof nodeTls().SecureContext ? given : makeContext(given);
}

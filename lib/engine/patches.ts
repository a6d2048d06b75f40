/**
 * The patches on Node: tls.createSecureContext, through which Node's servers and sockets make their contexts too, and of
 * TLSSocket.prototype _wrapHandle and _init, which every TLSSocket passes, and setKeyCert. Who stands behind them comes later, with the first need: an
 * app under `isolate` that has no key pays for this file and no more.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module';
import type tls from 'node:tls';

type Tls = typeof tls;

/** Makes a context in the place of Node. @param original what Node has */
export type ContextMaker = (
  options: tls.SecureContextOptions | undefined,
  original: Tls['createSecureContext'],
) => tls.SecureContext;

/** Is told of each TLSSocket. */
export type SocketListener = (socket: tls.TLSSocket) => void;

/** Gives a socket a certificate and key in the place of its context's. @param original what Node has */
export type KeyCertSetter = (
  socket: tls.TLSSocket,
  given: tls.SecureContextOptions | tls.SecureContext,
  original: (given: tls.SecureContextOptions | tls.SecureContext) => void,
) => void;

/** Who stands behind the patches. */
export interface Stand {
  readonly makeContext: ContextMaker;
  /** Before Node makes OpenSSL's object for it: who wants to see that must be there by then. */
  readonly beforeSocket: SocketListener;
  /** When Node has initialised it. */
  readonly onSocket: SocketListener;
  readonly setKeyCert: KeyCertSetter;
}

/** Sees what an app does with TLS before anybody has to stand behind the patches. */
export interface TlsWatcher {
  /** The options of a context that is about to be made. */
  onContext(options: unknown): void;
  /** A TLSSocket for which Node is about to make OpenSSL's object. */
  onSocket(socket: tls.TLSSocket): void;
}

let stand: Stand = {
  makeContext: (options, original) => original(options),
  beforeSocket: () => undefined,
  onSocket: () => undefined,
  setKeyCert: (_, given, original) => original(given),
};
let watcher: TlsWatcher | undefined;
let patched = false;

/** The app may look at the functions: they have the names and lengths of those whose places they take. */
export function named<F extends object>(replacement: F, original: object): F {
  for (const property of ['name', 'length'] as const) {
    Object.defineProperty(replacement, property, Object.getOwnPropertyDescriptor(original, property)!);
  }
  return replacement;
}

/** The file behind node:tls has the function too; from Node 25 on, it warns of being loaded (DEP0192). */
function patchInternalFile(original: unknown, replacement: unknown): void {
  if (Number.parseInt(process.versions.node, 10) >= 25) return;
  const file = process.getBuiltinModule('node:_tls_common') as unknown as Record<string, unknown>;
  if (file.createSecureContext === original) file.createSecureContext = replacement;
}

type SetKeyCert = (this: tls.TLSSocket, given: tls.SecureContextOptions | tls.SecureContext) => void;

interface TlsSocketPrototype {
  /** Makes the native handle, and with it OpenSSL's object. */
  _wrapHandle(...values: unknown[]): unknown;
  _init(...values: unknown[]): void;
  /** Not in the first of Node 20. */
  setKeyCert?: SetKeyCert;
}

function patchPrototype(prototype: TlsSocketPrototype): void {
  const { _init, _wrapHandle, setKeyCert } = prototype;
  prototype._wrapHandle = named(function wrapHandle(this: tls.TLSSocket, ...values: unknown[]) {
    watcher?.onSocket(this);
    stand.beforeSocket(this);
    return _wrapHandle.apply(this, values);
  }, _wrapHandle);
  prototype._init = named(function init(this: tls.TLSSocket, ...values: unknown[]) {
    _init.apply(this, values);
    stand.onSocket(this);
  }, _init);
  if (setKeyCert === undefined) return;
  prototype.setKeyCert = named(
    function set(this: tls.TLSSocket, given) {
      stand.setKeyCert(this, given, (taken) => setKeyCert.call(this, taken));
    } as SetKeyCert,
    setKeyCert,
  );
}

function patchContexts(exports: Tls): void {
  const original = exports.createSecureContext;
  // Nor has Node one where X509Certificate.toLegacyObject() was the first to load node:tls: its modules wait for each
  // other then, and what is left out stays out (Node 22 to 26).
  if (original === undefined) return;
  exports.createSecureContext = named(function createSecureContext(options?: tls.SecureContextOptions) {
    watcher?.onContext(options);
    return stand.makeContext(options, original);
  }, original);
  patchInternalFile(original, exports.createSecureContext);
}

function patch(exports: Tls): void {
  patchContexts(exports);
  patchPrototype(exports.TLSSocket.prototype as unknown as TlsSocketPrototype);
  syncBuiltinESMExports();
}

/** Node's own record of one of its modules (lib/internal/bootstrap/realm.js, Node 20 to 26). */
interface BuiltinModule {
  readonly loaded: boolean;
  compileForInternalLoader?(): Tls;
}

const EXPOSES_INTERNALS = /^--expose[-_]internals$/;

function exposedModule(): BuiltinModule | undefined {
  if (!process.execArgv.some((word) => EXPOSES_INTERNALS.test(word))) return undefined;
  // The records' class is not to be had, even so, but one of them is.
  const { loadBuiltinModule } = createRequire(import.meta.url)('internal/modules/helpers') as {
    loadBuiltinModule(name: string): { constructor: { map: Map<string, BuiltinModule> } };
  };
  return loadBuiltinModule('module').constructor.map.get('tls');
}

/**
 * Who has Node's internals may replace parts of them before node:tls looks: so it is not loaded for our sake, and patched
 * when somebody loads it.
 */
function patchWhenLoaded(module: BuiltinModule): void {
  module.compileForInternalLoader = function compileForInternalLoader(this: BuiltinModule) {
    // From here on it is the prototype's again.
    delete this.compileForInternalLoader;
    const exports = this.compileForInternalLoader!();
    patch(exports);
    return exports;
  };
}

/** Patches this thread's node:tls, once. It does what it did before until somebody stands behind it. */
export function patchTls(): void {
  if (patched) return;
  patched = true;
  const module = exposedModule();
  if (module === undefined || module.loaded) patch(process.getBuiltinModule('node:tls'));
  else patchWhenLoaded(module);
}

/** From here on, what Node does goes through `behind`. */
export function standBehindPatches(behind: Stand): void {
  stand = behind;
}

/** @param watch `undefined`: nobody watches any more */
export function watchTls(watch: TlsWatcher | undefined): void {
  watcher = watch;
}

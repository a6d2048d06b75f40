/** How a proxy speaks to its backends over TLS. */
import { createSecureContext, type SecureContext } from 'node:tls';

export interface BackendCredentials {
  /** Authorities that sign backends' certificates, PEM; `undefined`: those Node.js trusts. */
  readonly ca?: Buffer;
  /** This proxy's certificate towards them, PEM, and its key: a PEM, or a stub under `register`. */
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** One context for all connections: a usual file of authorities takes 40 ms to read, and any stranger causes a connection. */
export class BackendTls {
  readonly credentials: BackendCredentials;
  #context: SecureContext | undefined;

  constructor(credentials: BackendCredentials = {}) {
    this.credentials = credentials;
  }

  /** Made when it is first asked for. @throws what createSecureContext throws */
  context(): SecureContext {
    this.#context ??= createSecureContext(this.credentials);
    return this.#context;
  }

  /** The process that held the key is gone: connections from now on have a context that is made anew. */
  renew(): void {
    this.#context = undefined;
  }
}

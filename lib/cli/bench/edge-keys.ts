/** The keys of an edge that is not native, and the servers that use them. */
import type tls from 'node:tls';
import {
  connectKeyServers,
  createServer,
  engineStats,
  type KeyServers,
  localKey,
  type PrivateKey,
} from '../../index.ts';
import type { EdgePlan, EdgeSite } from './edge-process.ts';

export class EdgeKeys {
  readonly #plan: EdgePlan;
  readonly #keyServers: KeyServers | undefined;
  #signed = 0;

  private constructor(plan: EdgePlan, keyServers: KeyServers | undefined) {
    this.#plan = plan;
    this.#keyServers = keyServers;
  }

  /** @throws (rejects) KeylessError ERR_KEYLESS_NO_KEY_SERVER: a remote edge's is not there */
  static async open(plan: EdgePlan): Promise<EdgeKeys> {
    if (plan.keyServer === undefined) return new EdgeKeys(plan, undefined);
    const { port, connections, ...credentials } = plan.keyServer;
    const servers = [`127.0.0.1:${port}`];
    const keyServers = connectKeyServers({ servers, ...credentials, connectionsPerServer: connections });
    await keyServers.ready();
    return new EdgeKeys(plan, keyServers);
  }

  /** Signatures that were answered. */
  get operations(): number {
    return this.#keyServers?.stats().succeeded ?? this.#signed;
  }

  /** Handshakes that wait for one now. */
  get paused(): number {
    return engineStats().paused;
  }

  createServer(site: EdgeSite, listener: (socket: tls.TLSSocket) => void): tls.Server {
    return createServer({ cert: site.cert, key: this.#keyOf(site) }, listener);
  }

  #keyOf({ key = '' }: EdgeSite): PrivateKey {
    if (this.#keyServers !== undefined) return this.#keyServers;
    return this.#counted(key);
  }

  #counted(pem: string): PrivateKey {
    const key = localKey(pem, { sync: true, verify: this.#plan.verify });
    const sign: PrivateKey['sign'] = (operation) => {
      this.#signed += 1;
      return key.sign(operation);
    };
    return { ...key, sign };
  }
}

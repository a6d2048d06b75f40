/** Edges, and key servers of theirs that misbehave, in this process; all made with one authority, all closed in one go. */
import { connectKeyServers, type KeyServers, type KeyServersOptions } from '../../lib/keys/key-servers.ts';
import { encodeResult } from '../../lib/protocol/answers.ts';
import { type KeyServerSetup, makeKeyServers } from './key-servers.ts';
import { signOperation } from './operations.ts';
import {
  type OnRequest,
  type RudeKeyServer,
  type RudeOptions,
  startRudeKeyServer,
} from './rude-key-server.ts';

export const KEY_ID = Buffer.alloc(20, 9);
export const SIGNATURE = Buffer.alloc(70, 1);
export const answer: OnRequest = ({ id }, socket) => void socket.write(encodeResult(id, SIGNATURE));

export class RudeEdges {
  readonly setup: KeyServerSetup;
  readonly #open: { close(): unknown }[] = [];

  private constructor(setup: KeyServerSetup) {
    this.setup = setup;
  }

  static async make(): Promise<RudeEdges> {
    return new RudeEdges(await makeKeyServers([]));
  }

  /** A key server. @param onRequest default: it answers each request */
  async rude(
    onRequest: OnRequest = answer,
    options: Pick<RudeOptions, 'profile' | 'port' | 'functions' | 'onPing'> = {},
  ): Promise<RudeKeyServer> {
    const { server, authority } = this.setup;
    const keyServer = await startRudeKeyServer({ server, ca: authority.certPem, onRequest, ...options });
    this.closesLast(keyServer);
    return keyServer;
  }

  edge(servers: readonly (RudeKeyServer | string)[], options: Partial<KeyServersOptions> = {}): KeyServers {
    const addresses = servers.map((server) => (typeof server === 'string' ? server : server.address));
    const keys = connectKeyServers({ servers: addresses, ...this.setup.edgeOptions, ...options });
    this.closesFirst(keys);
    return keys;
  }

  closesFirst(each: { close(): unknown }): void {
    this.#open.unshift(each);
  }

  closesLast(each: { close(): unknown }): void {
    this.#open.push(each);
  }

  async close(): Promise<void> {
    for (const each of this.#open) await each.close();
  }
}

export function sign(keys: KeyServers, timeoutMs?: number): Promise<Uint8Array> {
  return keys.sign(signOperation(KEY_ID, undefined, undefined, timeoutMs));
}

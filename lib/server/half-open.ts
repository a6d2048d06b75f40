/**
 * Connections that are not through TLS, or ask for metrics: anybody who reaches the port can make them, and say nothing. There are only so
 * many; where one more comes, the oldest of the address that has the most makes way for it. Whoever comes from elsewhere
 * has all the time that the handshake's time-out gives.
 */
import type { Socket } from 'node:net';
import { addressBytes } from '../protocol/ip-address.ts';

const IPV6_BYTES = 16;
/** Of an IPv6 address: what is given to one network, whose hosts choose the rest (RFC 4291 §2.5.4). */
const NETWORK_BYTES = 8;

function networkOf({ remoteAddress = '' }: Socket): string {
  const bytes = addressBytes(remoteAddress);
  if (bytes?.length !== IPV6_BYTES) return remoteAddress;
  return bytes.toString('hex', 0, NETWORK_BYTES);
}

export class HalfOpen {
  readonly #limit: number;
  /** By network, the oldest first. */
  readonly #networks = new Map<string, Set<Socket>>();
  readonly #madeWay = new WeakSet<Socket>();
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Makes room, and forgets the connection when it closes. */
  add(socket: Socket): void {
    // Asked now, the socket remembers its address for when it is gone.
    const network = networkOf(socket);
    if (this.#size >= this.#limit) this.#makeWay();
    const sockets = this.#networks.get(network) ?? new Set();
    this.#networks.set(network, sockets.add(socket));
    this.#size += 1;
    socket.on('close', () => this.delete(socket));
  }

  /** It is through TLS, or has closed. */
  delete(socket: Socket): void {
    const network = networkOf(socket);
    const sockets = this.#networks.get(network);
    if (sockets?.delete(socket) !== true) return;
    this.#size -= 1;
    if (sockets.size === 0) this.#networks.delete(network);
  }

  hasMadeWay(socket: Socket): boolean {
    return this.#madeWay.has(socket);
  }

  destroyAll(): void {
    for (const sockets of this.#networks.values()) for (const socket of sockets) socket.destroy();
  }

  #makeWay(): void {
    let most: ReadonlySet<Socket> = new Set();
    for (const sockets of this.#networks.values()) if (sockets.size > most.size) most = sockets;
    const [oldest] = most;
    if (oldest === undefined) return;
    this.#madeWay.add(oldest);
    this.delete(oldest);
    oldest.destroy();
  }
}

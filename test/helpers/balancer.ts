/** Several servers behind one address, as a balancer of TCP connections has them: each connection goes to the next one. */
import net, { type AddressInfo, type Server, type Socket } from 'node:net';

export class Balancer {
  /** Connections that each of the servers got. */
  readonly given: number[];
  readonly #ports: readonly number[];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(ports: readonly number[]) {
    this.#ports = ports;
    this.given = ports.map(() => 0);
    this.#server = net.createServer((socket) => this.#accept(socket));
  }

  /** @param ports of servers on this machine */
  static async start(ports: readonly number[]): Promise<Balancer> {
    const balancer = new Balancer(ports);
    await new Promise<void>((resolve) => balancer.#server.listen(0, '127.0.0.1', resolve));
    return balancer;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #accept(client: Socket): void {
    const next = this.given.indexOf(Math.min(...this.given));
    this.given[next]! += 1;
    const server = net.connect(this.#ports[next]!, '127.0.0.1');
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(one);
      one.setNoDelay(true).pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }
}

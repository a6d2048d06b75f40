/** A client that does what Node.js cannot: OpenSSL's own. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';

/** openssl-s_client(1), which takes commands on its standard input. */
export class OpensslClient {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly closed: Promise<unknown>;
  #output = '';

  constructor(port: number, options: readonly string[]) {
    this.#process = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_3', ...options]);
    this.closed = once(this.#process, 'close');
    this.#process.stdin.on('error', () => undefined);
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString('latin1');
        this.#process.emit('output');
      });
  }

  /** @returns whether it has come, before the end of the connection; what was there by then is forgotten */
  async saw(text: string): Promise<boolean> {
    let ended = false;
    const end = this.closed.then(() => {
      ended = true;
    });
    while (!ended && !this.#output.includes(text)) await Promise.race([once(this.#process, 'output'), end]);
    const came = this.#output.includes(text);
    this.#output = '';
    return came;
  }

  write(bytes: string | Uint8Array): void {
    this.#process.stdin.write(bytes);
  }

  /** @returns whether so many could be sent, one after the other: a line is a command only if it is read by itself */
  async updateKeys(times: number): Promise<boolean> {
    for (let time = 0; time < times; time += 1) {
      this.write('k\n');
      if (!(await this.saw('KEYUPDATE'))) return false;
    }
    return true;
  }
}

/** TLS records that carry no data: what they cost is known to nobody above OpenSSL. Node.js cannot send a KeyUpdate; s_client can. */
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { encodeFrame } from '../../../lib/protocol/frame-encoder.ts';
import { pingRequest } from '../../../lib/protocol/request-encoder.ts';
import type { ServerConnectionEnd } from '../../../lib/server/channels.ts';
import type { KeyServer } from '../../../lib/server/key-server.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';

let setup: KeyServerSetup;
let server: KeyServer & { readonly port: number };
let folder: string;

before(async () => {
  setup = await makeKeyServers([]);
  server = await setup.start();
  folder = await mkdtemp(join(tmpdir(), 'keyless-tls-test-'));
  const { cert, key, ca } = setup.edgeOptions;
  for (const [name, pem] of Object.entries({ cert, key, ca })) await writeFile(join(folder, name), pem);
});

after(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

/** openssl-s_client(1), which takes commands on its standard input. */
class Client {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly closed: Promise<unknown>;
  #output = '';

  constructor() {
    const files = ['-cert', join(folder, 'cert'), '-key', join(folder, 'key'), '-CAfile', join(folder, 'ca')];
    const tls = ['-tls1_3', '-alpn', 'keyless-tls/1'];
    const to = ['-connect', `127.0.0.1:${server.port}`];
    this.#process = spawn('openssl', ['s_client', ...to, ...tls, ...files]);
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

  async ping(): Promise<void> {
    this.write(encodeFrame(1, PING));
    assert.ok(await this.saw('are you there'));
  }
}

const PING = pingRequest(Buffer.from('are you there'));

async function endOf(work: (client: Client) => Promise<void>): Promise<ServerConnectionEnd> {
  let listener: (message: unknown) => void;
  const end = new Promise<ServerConnectionEnd>((resolve) => {
    listener = (message) => resolve(message as ServerConnectionEnd);
    subscribe('keyless-tls:server:connection:end', listener);
  });
  const client = new Client();
  assert.ok(await client.saw('SSL handshake has read'));
  await work(client);
  const message = await end;
  unsubscribe('keyless-tls:server:connection:end', listener!);
  await client.closed;
  return message;
}

test('a client that renews its keys a few times is served, and oftener after thousands of records', async () => {
  const { error } = await endOf(async (client) => {
    assert.ok(await client.updateKeys(10));
    for (let records = 0; records < 4200; records += 1) await client.ping();
    assert.ok(await client.updateKeys(4));
    await client.ping();
    client.write('Q\n');
  });
  assert.equal(error, undefined);
});

test('a client that renews its keys again and again is disconnected', async () => {
  const { error } = await endOf(async (client) => {
    await client.updateKeys(200);
    client.write('Q\n');
  });
  assert.equal((error as NodeJS.ErrnoException | undefined)?.code, 'ERR_SSL_TOO_MANY_KEY_UPDATES');
});

/** An SSH agent behind a key server: its clients come in turn, and what nobody waits for is not asked of it. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { subjectKeyId } from '../../../../lib/protocol/key-id.ts';
import { pingRequest, signRequest } from '../../../../lib/protocol/request-encoder.ts';
import { sshString } from '../../../../lib/protocol/ssh-data.ts';
import type { KeyServerStats } from '../../../../lib/server/key-server.ts';
import { type SshAgentOptions, sshAgent } from '../../../../lib/server/stores/ssh-agent.ts';
import type { Issued } from '../../../helpers/certificates.ts';
import { until } from '../../../helpers/edge.ts';
import { certificateVerify } from '../../../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../../../helpers/key-servers.ts';
import { ManualClock } from '../../../helpers/manual-clock.ts';
import { connectPeer, type WirePeer } from '../../../helpers/wire-peer.ts';

const SIGN_REQUEST = 13;
const TYPE = sshString(Buffer.from('ssh-ed25519'));

/** Signs when it is told to. */
class SlowAgent {
  readonly #key: KeyObject;
  readonly #blob: Buffer;
  readonly #server: Server;
  /** Messages that it was asked to sign, in hexadecimal, in order. */
  readonly asked: string[] = [];
  #answer: (() => void) | undefined;

  constructor(path: string, key: KeyObject, publicKey: Buffer) {
    this.#key = key;
    this.#blob = Buffer.concat([TYPE, sshString(publicKey)]);
    this.#server = createServer((socket) =>
      socket.on('data', (request) => this.#take(socket, request as Buffer)),
    );
    this.#server.listen(path);
  }

  #take(socket: Socket, request: Buffer): void {
    if (request[4] !== SIGN_REQUEST) {
      const list = [Buffer.of(12, 0, 0, 0, 1), sshString(this.#blob), sshString(Buffer.from('slow'))];
      socket.write(sshString(Buffer.concat(list)));
      return;
    }
    const at = 5 + 4 + request.readUInt32BE(5);
    const message = request.subarray(at + 4, at + 4 + request.readUInt32BE(at));
    this.asked.push(message.toString('hex'));
    const signature = Buffer.concat([TYPE, sshString(sign(null, message, this.#key))]);
    this.#answer = () => socket.write(sshString(Buffer.concat([Buffer.of(14), sshString(signature)])));
  }

  /** Answers what it was asked, now or when it comes. */
  async sign(): Promise<void> {
    await until(() => this.#answer !== undefined);
    this.#answer!();
    this.#answer = undefined;
  }

  async close(): Promise<void> {
    this.#server.close();
    await once(this.#server, 'close');
  }
}

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const keyId = subjectKeyId(publicKey.export({ type: 'spki', format: 'der' }));
let setup: KeyServerSetup;
let other: Issued;
let folder: string;

before(async () => {
  setup = await makeKeyServers([]);
  other = await setup.authority.issue({ type: 'p256', usage: 'client', cn: 'edge 2' });
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-agent-'));
});
after(() => rmSync(folder, { recursive: true }));

interface Scene {
  readonly agent: SlowAgent;
  /** One client with two connections, and another. */
  readonly crowd: readonly WirePeer[];
  /** Resets the connections of the crowd: who only ends his side may still read answers. */
  readonly leave: () => Promise<void>;
  readonly peer: WirePeer;
  readonly stats: () => KeyServerStats;
}

async function withAgent(options: SshAgentOptions, work: (scene: Scene) => Promise<void>): Promise<void> {
  const path = join(folder, 'socket');
  const point = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url');
  const agent = new SlowAgent(path, privateKey, point);
  const keys = await sshAgent({ path, ...options });
  const server = await setup.start({ keys, clock: options.clock });
  const raw = [0, 1].map(() => connectTcp(server.port, '127.0.0.1'));
  const crowd = await Promise.all(
    raw.map((socket) => connectPeer(server.port, setup.edgeOptions, 'ours', { socket, host: undefined })),
  );
  const peer = await connectPeer(server.port, {
    ...setup.edgeOptions,
    ...{ cert: other.certPem, key: other.keyPem },
  });
  const stats = () => server.stats();
  const leave = async () => {
    for (const socket of raw) socket.resetAndDestroy();
    await until(() => stats().connections === 1);
  };
  try {
    await work({ agent, crowd, leave, peer, stats });
  } finally {
    for (const each of [...crowd, peer]) each.close();
    keys.close();
    await server.close();
    await agent.close();
  }
}

/** @returns the request, and what the agent is asked for it */
function request() {
  const message = certificateVerify();
  return { items: signRequest('ed25519', message, { keyId }), asks: message.toString('hex') };
}

/** Each connection asks so often. @returns settles when the key server has read all of it */
async function flood(crowd: readonly WirePeer[], times: number): Promise<Promise<unknown>[]> {
  const asked = crowd.flatMap((each) => Array.from({ length: times }, () => each.ask(request().items)));
  for (const each of asked) each.catch(() => undefined);
  await Promise.all(crowd.map((each) => each.ask(pingRequest())));
  return asked;
}

test('a client that asks for much of an agent does not hold up another', () =>
  withAgent({}, async ({ agent, crowd, peer, stats }) => {
    const flooded = await flood(crowd, 20);
    assert.equal(stats().waiting, 38);
    const one = request();
    const answer = peer.ask(one.items);
    await peer.ask(pingRequest());
    for (let signed = 0; signed < 41; signed += 1) await agent.sign();
    assert.equal((await answer).kind, 'result');
    await Promise.all(flooded);
    const at = agent.asked.indexOf(one.asks);
    assert.ok(at >= 0 && at <= 3, `it was the ${at + 1}th of ${agent.asked.length}`);
  }));

test('what a client has asked for before it left is not asked of an agent', () =>
  withAgent({}, async ({ agent, crowd, leave, peer }) => {
    await flood(crowd, 20);
    await leave();
    const one = request();
    const answer = peer.ask(one.items);
    await peer.ask(pingRequest());
    for (let signed = 0; signed < 3; signed += 1) await agent.sign();
    assert.equal((await answer).kind, 'result');
    assert.deepEqual([agent.asked.length, agent.asked[2]], [3, one.asks]);
  }));

test('of an agent that stands still whoever waits hears when his time is over: error 03', async () => {
  const clock = new ManualClock();
  await withAgent({ clock, timeoutMs: 5000 }, async ({ agent, crowd, stats }) => {
    const flooded = await flood(crowd, 20);
    clock.advance(5000);
    for (const answer of await Promise.all(flooded)) assert.deepEqual(answer, { kind: 'error', code: 3 });
    assert.deepEqual([stats().waiting, agent.asked.length], [0, 1]);
  });
});

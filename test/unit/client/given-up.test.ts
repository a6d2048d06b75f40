/** A key server that leaves requests unanswered, and takes an id of the wire with each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import tls from 'node:tls';
import { Connection } from '../../../lib/client/connection.ts';
import { parseServerAddress, type ServerAddress } from '../../../lib/client/server-address.ts';
import type { KeylessError } from '../../../lib/errors.ts';
import { ticketKeysRequest } from '../../../lib/protocol/request-encoder.ts';
import { until } from '../../helpers/edge.ts';
import { makeKeyServers } from '../../helpers/key-servers.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { answer } from '../../helpers/rude-edges.ts';
import { type OnRequest, pong, startRudeKeyServer } from '../../helpers/rude-key-server.ts';

const MOST_GIVEN_UP = 65_536;
const TIMES = { connectTimeoutMs: 10_000, pingIntervalMs: 10_000, pingTimeoutMs: 10_000 };

/** @returns when the key server has answered once; @param closed takes why the connection ends */
async function connect(
  address: ServerAddress,
  credentials: tls.SecureContextOptions,
  closed: KeylessError[],
  clock = new ManualClock(),
): Promise<Connection> {
  const secureContext = tls.createSecureContext(credentials);
  const settings = { address, servername: 'localhost', secureContext, clock, ...TIMES };
  let connection: Connection | undefined;
  await new Promise<void>((onReady) => {
    connection = new Connection(settings, {
      onReady,
      onAnswers: () => undefined,
      onGoodbye: () => undefined,
      onClose: (error) => closed.push(error),
    });
  });
  return connection!;
}

test('a connection on which 65,536 requests were given up ends with one more, and whoever waits is told', async () => {
  const { server: issued, authority, edgeOptions } = await makeKeyServers([]);
  const server = await startRudeKeyServer({
    server: issued,
    ca: authority.certPem,
    onRequest: () => undefined,
  });
  const closed: KeylessError[] = [];
  const answers: unknown[] = [];
  const connection = await connect(parseServerAddress(server.address), edgeOptions, closed);
  const giveUpOne = () => connection.giveUp(connection.request(ticketKeysRequest(), () => undefined));
  connection.request(ticketKeysRequest(), (answer) => answers.push(answer));
  for (let given = 0; given < MOST_GIVEN_UP; given += 1) giveUpOne();
  assert.deepEqual([closed, connection.inFlight], [[], 1]);
  giveUpOne();
  assert.deepEqual(
    closed.map(({ code }) => code),
    ['ERR_KEYLESS_TIMEOUT'],
  );
  assert.deepEqual(answers, closed);
  await server.close();
});

test('a connection on which pings are answered, and nothing else, stands still', async () => {
  const { server: issued, authority, edgeOptions } = await makeKeyServers([]);
  const held: Parameters<OnRequest>[] = [];
  const onRequest: OnRequest = (...request) => void held.push(request);
  const server = await startRudeKeyServer({ server: issued, ca: authority.certPem, onRequest });
  const clock = new ManualClock();
  const connection = await connect(parseServerAddress(server.address), edgeOptions, [], clock);
  connection.request(ticketKeysRequest(), () => undefined);
  connection.request(ticketKeysRequest(), () => undefined);
  clock.advance(501);
  connection.prove();
  await until(() => connection.provenAt === 501);
  assert.equal(connection.standsStill(501), true);
  await until(() => held.length === 2);
  answer(...held[0]!);
  await until(() => connection.inFlight === 1);
  assert.equal(connection.standsStill(501), false);
  await server.close();
});

test('a key server was there when it was asked, not when its answer was read; it is asked once at a time, and again', async () => {
  const { server: issued, authority, edgeOptions } = await makeKeyServers([]);
  const pings: Parameters<OnRequest>[] = [];
  const server = await startRudeKeyServer({
    ...{ server: issued, ca: authority.certPem, onRequest: answer },
    onPing: (...ping) => void pings.push(ping),
  });
  const clock = new ManualClock();
  const connection = await connect(parseServerAddress(server.address), edgeOptions, [], clock);
  for (const round of [1, 2]) {
    const askedAt = clock.now();
    connection.prove();
    await until(() => pings.length === round);
    clock.advance(100);
    connection.prove();
    assert.equal(connection.inFlight, 1);
    pong(...pings[round - 1]!);
    await until(() => connection.inFlight === 0);
    assert.equal(connection.provenAt, askedAt);
  }
  assert.equal(pings.length, 2);
  await server.close();
});

/** What an SSH agent may answer instead of an answer: each is an error with a reason, and the next request gets a new connection. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SIGNING_METHODS } from '../../../../lib/protocol/schemes.ts';
import { sshString } from '../../../../lib/protocol/ssh-data.ts';
import { sshAgent } from '../../../../lib/server/stores/ssh-agent.ts';
import { ManualClock } from '../../../helpers/manual-clock.ts';

const ED25519 = SIGNING_METHODS.ed25519;
const MESSAGE = Buffer.from('a message');
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url');
const TYPE = sshString(Buffer.from('ssh-ed25519'));
const BLOB = Buffer.concat([TYPE, sshString(raw)]);

const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
};
const answer = (type: number, ...parts: readonly Buffer[]): Buffer =>
  sshString(Buffer.concat([Buffer.of(type), ...parts]));
const signed = (format: string, signature: Buffer) =>
  answer(14, sshString(Buffer.concat([sshString(Buffer.from(format)), sshString(signature)])));
const listOf = (...blobs: readonly Buffer[]) => {
  const entries = blobs.map((blob) => Buffer.concat([sshString(blob), sshString(Buffer.from('a\nkey'))]));
  return answer(12, uint32(blobs.length), ...entries);
};

const GOOD_LIST = listOf(BLOB);
const GOOD = signed('ssh-ed25519', sign(null, MESSAGE, privateKey));

type Answers = (socket: Socket, type: number) => void;
let folder: string;
let path: string;
let server: Server;
let connections = 0;
let answers: Answers;

/** Lists its one key and signs well. */
const well: Answers = (socket, type) => void socket.write(type === 11 ? GOOD_LIST : GOOD);
const always =
  (bytes: Buffer): Answers =>
  (socket) =>
    void socket.write(bytes);

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-agent-'));
  path = join(folder, 'socket');
  server = createServer((socket) => {
    connections += 1;
    // Requests are small: one comes in one piece.
    socket.on('error', () => undefined);
    socket.on('data', (request) => {
      answers(socket, (request as Buffer)[4]!);
      server.emit('asked');
    });
  }).listen(path);
  await once(server, 'listening');
});
after(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

const NOT_ITS_PROTOCOL = /does not speak its protocol: \S/;

const BAD_SIGNATURES: Readonly<Record<string, readonly [Answers, RegExp]>> = {
  'a frame without a type': [always(uint32(0)), NOT_ITS_PROTOCOL],
  'a frame of 4 GiB': [always(uint32(0xffffffff)), NOT_ITS_PROTOCOL],
  text: [always(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')), NOT_ITS_PROTOCOL],
  'another kind of answer': [always(GOOD_LIST), NOT_ITS_PROTOCOL],
  'two answers': [always(Buffer.concat([GOOD, GOOD])), NOT_ITS_PROTOCOL],
  'bytes after the signature': [always(answer(14, GOOD.subarray(5), Buffer.of(0))), NOT_ITS_PROTOCOL],
  'a string longer than its frame': [always(answer(14, uint32(1000), Buffer.alloc(3))), NOT_ITS_PROTOCOL],
  'a signature of another kind': [always(signed('ssh-rsa', Buffer.alloc(64))), NOT_ITS_PROTOCOL],
  'a signature of another message': [
    always(signed('ssh-ed25519', sign(null, Buffer.from('another'), privateKey))),
    /does not verify/,
  ],
  'no signature': [always(signed('ssh-ed25519', Buffer.alloc(0))), /does not verify/],
  'a refusal': [always(answer(5)), /refused to sign with ssh-agent a\\x0akey/],
  'half an answer': [(socket) => socket.end(GOOD.subarray(0, 20)), /ended the connection/],
  nothing: [() => undefined, /did not answer within 50 ms/],
  'half an answer, and nothing more': [always(GOOD.subarray(0, 20)), /did not answer within 50 ms/],
};

for (const [what, [bad, message]] of Object.entries(BAD_SIGNATURES)) {
  test(`an agent that answers with ${what}`, async () => {
    answers = well;
    const clock = new ManualClock();
    const store = await sshAgent({ path, timeoutMs: 50, clock });
    const [key] = store.keys;
    answers = bad;
    const asked = once(server, 'asked');
    const failing = assert.rejects(async () => key!.sign(ED25519, MESSAGE), {
      code: 'ERR_KEYLESS_KEY_STORE',
      message,
    });
    await asked;
    if (message.source.includes('50 ms')) clock.advance(50);
    await failing;
    answers = well;
    assert.equal((await key!.sign(ED25519, MESSAGE)).length, 64, 'and then answers well');
    store.close();
  });
}

test('an answer a byte at a time is an answer', async () => {
  answers = (socket, type) => {
    for (const octet of type === 11 ? GOOD_LIST : GOOD) socket.write(Buffer.of(octet));
  };
  const store = await sshAgent({ path });
  assert.equal((await store.keys[0]!.sign(ED25519, MESSAGE)).length, 64);
  store.close();
});

test('whoever waits behind a bad answer gets its own, on another connection', async () => {
  answers = well;
  const store = await sshAgent({ path });
  const [key] = store.keys;
  const before = connections;
  let asked = 0;
  answers = (socket, type) => {
    asked += 1;
    if (asked === 1) socket.write('garbage garbage');
    else well(socket, type);
  };
  const both = await Promise.allSettled([key!.sign(ED25519, MESSAGE), key!.sign(ED25519, MESSAGE)]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'fulfilled'],
  );
  assert.equal(connections, before + 1);
  store.close();
});

test('a connection that turns out to be dead is found out once, and the request asked on another', async () => {
  answers = well;
  const store = await sshAgent({ path });
  const first = connections;
  answers = (socket, type) => (connections === first ? socket.destroy() : well(socket, type));
  assert.equal((await store.keys[0]!.sign(ED25519, MESSAGE)).length, 64);
  assert.equal(connections, first + 1);
  answers = (socket) => socket.destroy();
  const ended = { code: 'ERR_KEYLESS_KEY_STORE', message: /ended the connection|cannot be reached/ };
  await assert.rejects(async () => store.keys[0]!.sign(ED25519, MESSAGE), ended);
  assert.equal(connections, first + 2);
  store.close();
});

test('an agent that speaks without being asked loses its connection, and nobody gets what it said', async () => {
  answers = well;
  const store = await sshAgent({ path });
  const [key] = store.keys;
  let asked: Socket;
  answers = (socket, type) => {
    asked = socket;
    well(socket, type);
  };
  await key!.sign(ED25519, MESSAGE);
  const closed = once(asked!, 'close');
  asked!.write(signed('ssh-ed25519', Buffer.alloc(64)));
  await closed;
  assert.equal((await key!.sign(ED25519, MESSAGE)).length, 64);
  store.close();
});

const curve = (name: string, coordinates: Buffer) => {
  const type = sshString(Buffer.from(`ecdsa-sha2-${name}`));
  return Buffer.concat([type, sshString(Buffer.from(name)), sshString(coordinates)]);
};

const BAD_KEYS: Readonly<Record<string, readonly [Buffer, RegExp]>> = {
  'a FIDO key': [sshString(Buffer.from('sk-ssh-ed25519@openssh.com')), /sk-ssh-ed25519@openssh.com/],
  'a certificate': [sshString(Buffer.from('ssh-rsa-cert-v01@openssh.com')), /ssh-rsa-cert-v01/],
  'a type to break lines': [sshString(Buffer.from('ssh\nkey')), /ssh\\x0akey/],
  'a name of every object': [sshString(Buffer.from('constructor')), /constructor/],
  'a point off its curve': [curve('nistp256', Buffer.alloc(65, 4)), /./],
  'a compressed point': [curve('nistp256', Buffer.alloc(33, 2)), /another form/],
  'a short Ed25519 key': [Buffer.concat([TYPE, sshString(raw.subarray(1))]), /31 bytes/],
  'bytes too many': [Buffer.concat([BLOB, Buffer.of(0)]), /1 bytes too many/],
  'a negative modulus': [
    Buffer.concat([
      sshString(Buffer.from('ssh-rsa')),
      sshString(Buffer.of(3)),
      sshString(Buffer.alloc(256, 0xff)),
    ]),
    /integer/,
  ],
  'nothing at all': [Buffer.alloc(0), /ends in the middle/],
};

for (const [what, [blob, reason]] of Object.entries(BAD_KEYS)) {
  test(`an agent that lists ${what} beside a key has that key, and a problem`, async () => {
    answers = always(listOf(blob, BLOB));
    const store = await sshAgent({ path });
    assert.equal(store.keys.length, 1);
    assert.equal(store.problems.length, 1);
    assert.match(store.problems[0]!.reason, reason);
    assert.equal(store.problems[0]!.file, 'ssh-agent a\\x0akey');
    store.close();
  });
}

const BAD_LISTS: Readonly<Record<string, readonly [Buffer, RegExp]>> = {
  'more keys than there are': [answer(12, uint32(2), sshString(BLOB), sshString(BLOB)), NOT_ITS_PROTOCOL],
  'a billion keys': [answer(12, uint32(1_000_000_000)), NOT_ITS_PROTOCOL],
  'bytes after its keys': [answer(12, uint32(0), Buffer.of(1)), NOT_ITS_PROTOCOL],
  'a refusal': [answer(5), /does not list its keys/],
};

for (const [what, [bytes, message]] of Object.entries(BAD_LISTS)) {
  test(`an agent whose list is ${what} is an error`, async () => {
    answers = always(bytes);
    await assert.rejects(sshAgent({ path }), { code: 'ERR_KEYLESS_KEY_STORE', message });
  });
}

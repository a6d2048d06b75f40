/** `keyless-tls serve` whose audit log cannot be written any more. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { signRequest } from '../../lib/protocol/request-encoder.ts';
import { auditFiles } from '../../lib/server/audit-files.ts';
import { certificateVerify } from '../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';
import { connectPeer, type WirePeer } from '../helpers/wire-peer.ts';

/** docs/protocol.md, "Goodbye". */
const GOODBYE_ID = 0xffffffff;
const MAX_FILE_BYTES = 8192;
/** It is as with a disk that is full; POSIX counts in 512 bytes. */
const LIMITS = `trap "" XFSZ; ulimit -f ${MAX_FILE_BYTES / 512}`;

let setup: KeyServerSetup;
let files: ServeFiles;
const running: ServeProcess[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
  files = serveFiles(setup);
});
after(async () => {
  for (const serve of running) serve.child.kill('SIGKILL');
  await Promise.all(running.map((serve) => serve.ended));
  files.remove();
});

async function start(directory: string) {
  const serve = new ServeProcess([...files.args, '--audit', directory], 'serve', process.env, LIMITS);
  running.push(serve);
  return { serve, peer: await connectPeer(await serve.port(), setup.edgeOptions) };
}

function sign(peer: WirePeer, servername?: string) {
  const { keyId } = setup.sites.p256!;
  return peer.ask(signRequest('ecdsa_secp256r1_sha256', certificateVerify(), { keyId, servername }));
}

/** Less than any record takes. */
const ROOM_BYTES = 50;
const LONGEST_NAME = 255;
const NAME_MEMBER_BYTES = ',"sni":""'.length;

/** Has the server write records until its file has no room for another one: the last two are as long as it takes. */
async function fill(peer: WirePeer, file: string): Promise<void> {
  const room = () => MAX_FILE_BYTES - statSync(file).size - ROOM_BYTES;
  await sign(peer);
  const before = room();
  await sign(peer);
  const recordBytes = before - room();
  while (room() > 2 * (recordBytes + NAME_MEMBER_BYTES + LONGEST_NAME)) await sign(peer);
  await sign(peer, 'a'.repeat(Math.floor(room() / 2) - recordBytes - NAME_MEMBER_BYTES));
  await sign(peer, 'a'.repeat(room() - recordBytes - NAME_MEMBER_BYTES));
  assert.ok(Math.abs(room()) < ROOM_BYTES / 2, `${room()} bytes are left`);
}

test('where the audit log cannot be written no answer leaves that it has no record of, and serve ends', async () => {
  const directory = files.path('audit-full');
  const { serve, peer } = await start(directory);
  let signed = 0;
  const ask = async () => {
    for (;;) {
      await sign(peer);
      signed += 1;
    }
  };
  await assert.rejects(ask(), /closed without an answer/);
  assert.equal(await serve.ended, 1);
  assert.match(serve.stderr, /The audit log cannot be written/);
  const log = readFileSync(auditFiles(directory)[0]!, 'utf8');
  const records = log.split('\n').filter((line) => line.endsWith('}') && line.includes('"operation"'));
  assert.ok(signed > 5 && records.length === signed, `${signed} answers, ${records.length} records`);
});

for (const [where, isAsking] of [
  ['while it drains', true],
  ['with the record of its end', false],
] as const) {
  test(`an audit log that cannot be written any more ${where} is told of, and serve fails`, async () => {
    const directory = files.path(`audit-full-${isAsking}`);
    const { serve, peer } = await start(directory);
    await fill(peer, auditFiles(directory)[0]!);
    serve.child.kill('SIGTERM');
    await peer.answer(GOODBYE_ID);
    if (isAsking) await assert.rejects(sign(peer), /closed without an answer/);
    else peer.close();
    assert.equal(await serve.ended, 1);
    assert.match(serve.stderr, /The audit log cannot be written: EFBIG/);
    assert.ok(!serve.events.some(({ event }) => event === 'ended'));
  });
}

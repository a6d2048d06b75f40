import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { encodeError, encodeGoodbye, encodeResult } from '../../../lib/protocol/answers.ts';
import { encodeFrame } from '../../../lib/protocol/frame-encoder.ts';
import {
  capabilitiesRequest,
  pingRequest,
  premasterRequest,
  signDigestRequest,
  signRequest,
  ticketKeysRequest,
  waitItem,
} from '../../../lib/protocol/request-encoder.ts';
import type { Items } from '../../../lib/protocol/tags.ts';
import { TicketKeys } from '../../../lib/server/ticket-keys.ts';

const P256 = Buffer.from('1a9569579bce329a942d0769c9c0b56431563710', 'hex');
const ED25519 = Buffer.from('5b27aa5589179770e47575b162a1ded97b8bfc6d', 'hex');
const ABC = createHash('sha256').update('abc').digest();
const CV = Buffer.concat([Buffer.alloc(64, 0x20), Buffer.from('TLS 1.3, server CertificateVerify\0'), ABC]);
const context = {
  keyId: P256,
  clientAddress: '192.0.2.1',
  serverAddress: '198.51.100.7',
  servername: 'www.example.org',
};
const other = { ...context, clientAddress: '2001:db8::1', serverAddress: '::ffff:198.51.100.7' };
const request = (items: Items) => encodeFrame(7, items);

const TICKET_KEYS = new TicketKeys({
  secret: Buffer.alloc(32, 0x5a),
  periodMs: 3_600_000,
  now: () => 1_700_000_000_000,
});
const GROUP = { name: 'edges', generation: createHash('sha256').update('').digest() };

/** In the order of docs/protocol.md. */
const FRAMES: readonly (readonly [string, Buffer])[] = [
  ['ping "hello"', request(pingRequest(Buffer.from('hello')))],
  ['a digest', request(signDigestRequest(0x15, ABC, context))],
  ['a message', request(signRequest('ecdsa_secp256r1_sha256', CV, context))],
  ['wait', request({ ...signRequest('ecdsa_secp256r1_sha256', CV, context), wait: waitItem(4999.5) })],
  ['IPv6', request(signRequest('ecdsa_secp256r1_sha256', CV, other))],
  ['Ed25519', request(signRequest('ed25519', CV, { ...context, keyId: ED25519 }))],
  ['Ed448', request(signRequest('ed448', CV, { keyId: P256 }))],
  ['premaster', request(premasterRequest(Buffer.alloc(256, 0xa5), 0x0303, { keyId: P256 }))],
  ['capabilities', request(capabilitiesRequest())],
  ['ticket-keys', request(ticketKeysRequest())],
  ['its response', encodeResult(7, TICKET_KEYS.answer(GROUP))],
  ['response', encodeResult(7, Buffer.alloc(64, 0x5a))],
  ['error 02', encodeError(7, 2)],
  ['goodbye', encodeGoodbye()],
];

function documented(): string[][] {
  const text = readFileSync(new URL('../../../../docs/protocol.md', import.meta.url), 'utf8');
  const rows = text.matchAll(/^\| .* \| (\d+) \| `([0-9a-f]{64})` \|$/gm);
  return [...rows].map(([, bytes, hash]) => [bytes!, hash!]);
}

test('the derivation in docs/protocol.md is what the code derives', () => {
  const text = readFileSync(new URL('../../../../docs/protocol.md', import.meta.url), 'utf8');
  const payload = TICKET_KEYS.answer(GROUP);
  assert.ok(text.includes(`\`${payload.subarray(0, 16).toString('hex')}\``));
  assert.ok(text.includes(`\`${payload.subarray(64, 112).toString('hex')}\``));
  assert.ok(text.includes(`\`${TICKET_KEYS.id}\``));
});

test('the vectors of docs/protocol.md are what the code sends', () => {
  const sent = FRAMES.map(([, frame]) => [
    String(frame.length),
    createHash('sha256').update(frame).digest('hex'),
  ]);
  assert.deepEqual(documented(), sent, FRAMES.map(([name]) => name).join(', '));
});

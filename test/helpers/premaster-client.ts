/** A TLS 1.2 client that sends a premaster of its choice, encrypted to the server's key or not (RFC 5246 §7.4.7.1). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { VERSION } from './premaster-classes.ts';

const HANDSHAKE = 22;
const CHANGE_CIPHER_SPEC = 20;
const ALERT = 21;
const CLIENT_HELLO = 1;
const CLIENT_KEY_EXCHANGE = 16;
const TLS_RSA_WITH_AES_128_GCM_SHA256 = 0x009c;
const RSA_PKCS1_SHA256 = 0x0401;
const SERVER_HELLO_DONE = Buffer.of(14, 0, 0, 0);
/** Of an encrypted Finished with AES-GCM: nonce 8, message 16, tag 16. */
const FINISHED_BYTES = 40;

function uint16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

function record(type: number, fragment: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type), uint16(VERSION), uint16(fragment.length), fragment]);
}

function handshake(type: number, body: Buffer): Buffer {
  return record(HANDSHAKE, Buffer.concat([Buffer.of(type, 0), uint16(body.length), body]));
}

function clientHello(): Buffer {
  const sessionId = Buffer.of(0);
  const ciphers = Buffer.concat([uint16(2), uint16(TLS_RSA_WITH_AES_128_GCM_SHA256)]);
  const noCompression = Buffer.of(1, 0);
  // signature_algorithms (13): without it the server would have to sign by SHA-1 (RFC 5246 §7.4.1.4.1), and refuses.
  const extensions = Buffer.concat([uint16(13), uint16(4), uint16(2), uint16(RSA_PKCS1_SHA256)]);
  return handshake(
    CLIENT_HELLO,
    Buffer.concat([
      ...[uint16(VERSION), randomBytes(32), sessionId, ciphers, noCompression],
      ...[uint16(extensions.length), extensions],
    ]),
  );
}

/** What ends a handshake whose master secret nobody knows: the server can only answer with an alert. */
function secondFlight(ciphertext: Buffer): Buffer {
  return Buffer.concat([
    handshake(CLIENT_KEY_EXCHANGE, Buffer.concat([uint16(ciphertext.length), ciphertext])),
    record(CHANGE_CIPHER_SPEC, Buffer.of(1)),
    record(HANDSHAKE, randomBytes(FINISHED_BYTES)),
  ]);
}

/** @returns nanoseconds from the second flight to the alert that ends the handshake */
export async function timePremaster(port: number, ciphertext: Buffer): Promise<number> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  const ended = once(socket, 'close').then(() => assert.fail('closed without an alert'));
  ended.catch(() => undefined);
  socket.write(clientHello());
  let flight = Buffer.alloc(0);
  while (!flight.subarray(-SERVER_HELLO_DONE.length).equals(SERVER_HELLO_DONE)) {
    const [chunk] = (await Promise.race([once(socket, 'data'), ended])) as [Buffer];
    flight = Buffer.concat([flight, chunk]);
  }
  const second = secondFlight(ciphertext);
  const since = process.hrtime.bigint();
  socket.write(second);
  const [alert] = (await Promise.race([once(socket, 'data'), ended])) as [Buffer];
  const time = Number(process.hrtime.bigint() - since);
  assert.equal(alert[0], ALERT);
  // No TIME_WAIT: there are more connections than ports.
  socket.resetAndDestroy();
  return time;
}

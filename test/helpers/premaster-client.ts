/** A TLS 1.2 client that sends a premaster of its choice, encrypted to the server's key or not (RFC 5246 §7.4.7.1). */
import assert from 'node:assert/strict';
import { createCipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { VERSION } from './premaster-classes.ts';

const HANDSHAKE = 22;
const CHANGE_CIPHER_SPEC = 20;
const ALERT = 21;
const APPLICATION_DATA = 23;
const CLIENT_HELLO = 1;
const SERVER_HELLO = 2;
const CLIENT_KEY_EXCHANGE = 16;
const FINISHED = 20;
const TLS_RSA_WITH_AES_128_GCM_SHA256 = 0x009c;
const RSA_PKCS1_SHA256 = 0x0401;
const SERVER_HELLO_DONE = Buffer.of(14, 0, 0, 0);
const RECORD_HEADER_BYTES = 5;
/** Of a hello: type and length of the message, version, and then 32 bytes. */
const RANDOM_AT = 6;
/** Of an encrypted Finished with AES-GCM: nonce 8, message 16, tag 16. */
const FINISHED_BYTES = 40;

function uint16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

function record(type: number, fragment: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type), uint16(VERSION), uint16(fragment.length), fragment]);
}

function message(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type, 0), uint16(body.length), body]);
}

function handshake(type: number, body: Buffer): Buffer {
  return record(HANDSHAKE, message(type, body));
}

/** @param version the newest that the client speaks */
export function clientHello(version = VERSION): Buffer {
  const sessionId = Buffer.of(0);
  const ciphers = Buffer.concat([uint16(2), uint16(TLS_RSA_WITH_AES_128_GCM_SHA256)]);
  const noCompression = Buffer.of(1, 0);
  // signature_algorithms (13): without it the server would have to sign by SHA-1 (RFC 5246 §7.4.1.4.1), and refuses.
  const extensions = Buffer.concat([uint16(13), uint16(4), uint16(2), uint16(RSA_PKCS1_SHA256)]);
  return message(
    CLIENT_HELLO,
    Buffer.concat([
      ...[uint16(version), randomBytes(32), sessionId, ciphers, noCompression],
      ...[uint16(extensions.length), extensions],
    ]),
  );
}

/** What ends a handshake whose master secret nobody knows: the server can only answer with an alert. */
export function secondFlight(ciphertext: Buffer): Buffer {
  return Buffer.concat([
    handshake(CLIENT_KEY_EXCHANGE, Buffer.concat([uint16(ciphertext.length), ciphertext])),
    record(CHANGE_CIPHER_SPEC, Buffer.of(1)),
    record(HANDSHAKE, randomBytes(FINISHED_BYTES)),
  ]);
}

/** @returns a connection on which the server has said what it has to say, and its flight */
export async function begin(port: number, hello: Buffer) {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  const ended = once(socket, 'close').then(() => assert.fail('closed without an alert'));
  ended.catch(() => undefined);
  const data = async () => ((await Promise.race([once(socket, 'data'), ended])) as [Buffer])[0];
  socket.write(helloRecord(hello));
  let flight = Buffer.alloc(0);
  while (!isWaiting(flight)) {
    flight = Buffer.concat([flight, await data()]);
  }
  return { socket, data, flight };
}

/** @returns nanoseconds from the second flight to the alert that ends the handshake */
export async function timePremaster(port: number, ciphertext: Buffer): Promise<number> {
  const { socket, data } = await begin(port, clientHello());
  const second = secondFlight(ciphertext);
  const since = process.hrtime.bigint();
  socket.write(second);
  const alert = await data();
  const time = Number(process.hrtime.bigint() - since);
  assert.equal(alert[0], ALERT);
  // No TIME_WAIT: there are more connections than ports.
  socket.resetAndDestroy();
  return time;
}

/** The messages in records that hold nothing else. */
function messagesIn(records: Buffer): Buffer {
  const fragments: Buffer[] = [];
  for (let at = 0; at < records.length; ) {
    const end = at + RECORD_HEADER_BYTES + records.readUInt16BE(at + 3);
    fragments.push(records.subarray(at + RECORD_HEADER_BYTES, end));
    at = end;
  }
  return Buffer.concat(fragments);
}

function hmac(key: Buffer, ...parts: Buffer[]): Buffer {
  return createHmac('sha256', key).update(Buffer.concat(parts)).digest();
}

/** RFC 5246 §5. @param bytes 64 at most */
function derive(secret: Buffer, label: string, seed: Buffer, bytes: number): Buffer {
  const labelled = Buffer.concat([Buffer.from(label), seed]);
  const first = hmac(secret, labelled);
  const second = hmac(secret, first);
  return Buffer.concat([hmac(secret, first, labelled), hmac(secret, second, labelled)]).subarray(0, bytes);
}

/** Records under new keys (RFC 5288 §3), one after the other. @param keys the key block, RFC 5246 §6.3 */
function sealer(keys: Buffer): (type: number, plain: Buffer) => Buffer {
  let sequence = 0;
  return (type, plain) => {
    const explicitNonce = Buffer.alloc(8);
    explicitNonce.writeUInt32BE(sequence, 4);
    sequence += 1;
    const nonce = Buffer.concat([keys.subarray(32, 36), explicitNonce]);
    const cipher = createCipheriv('aes-128-gcm', keys.subarray(0, 16), nonce);
    cipher.setAAD(Buffer.concat([explicitNonce, Buffer.of(type), uint16(VERSION), uint16(plain.length)]));
    const body = [cipher.update(plain), cipher.final()];
    return record(type, Buffer.concat([explicitNonce, ...body, cipher.getAuthTag()]));
  };
}

/** A client that knows its premaster. */
export interface Ending {
  /** What ends its handshake. */
  readonly flight: Buffer;
  /** A record of what it says then, 16 KiB at most. */
  seal(data: Buffer): Buffer;
}

/** @param said by the server so far, in answer to the hello */
export function ending(hello: Buffer, said: Buffer, premaster: Buffer, ciphertext: Buffer): Ending {
  const received = messagesIn(said);
  assert.equal(received[0], SERVER_HELLO);
  const [client, server] = [hello, received].map((each) => each.subarray(RANDOM_AT, RANDOM_AT + 32)) as [
    Buffer,
    Buffer,
  ];
  const exchange = message(CLIENT_KEY_EXCHANGE, Buffer.concat([uint16(ciphertext.length), ciphertext]));
  const master = derive(premaster, 'master secret', Buffer.concat([client, server]), 48);
  const seal = sealer(derive(master, 'key expansion', Buffer.concat([server, client]), 40));
  const transcript = createHash('sha256').update(hello).update(received).update(exchange).digest();
  const verifyData = derive(master, 'client finished', transcript, 12);
  return {
    flight: Buffer.concat([
      record(HANDSHAKE, exchange),
      record(CHANGE_CIPHER_SPEC, Buffer.of(1)),
      seal(HANDSHAKE, message(FINISHED, verifyData)),
    ]),
    seal: (data) => seal(APPLICATION_DATA, data),
  };
}

/** The first record of a client. */
export function helloRecord(hello: Buffer): Buffer {
  return record(HANDSHAKE, hello);
}

/** Whether a server has said what it has to say before the key exchange. */
export function isWaiting(said: Buffer): boolean {
  return said.subarray(-SERVER_HELLO_DONE.length).equals(SERVER_HELLO_DONE);
}

/**
 * A client that knows its premaster ends the handshake with it.
 *
 * @param offered the newest version that it says it speaks @returns whether the server has taken the premaster
 */
export async function isTaken(
  port: number,
  offered: number,
  premaster: Buffer,
  ciphertext: Buffer,
): Promise<boolean> {
  const hello = clientHello(offered);
  const { socket, data, flight } = await begin(port, hello);
  socket.write(ending(hello, flight, premaster, ciphertext).flight);
  const [answer] = await data();
  socket.destroy();
  assert.ok(answer === CHANGE_CIPHER_SPEC || answer === ALERT, String(answer));
  return answer === CHANGE_CIPHER_SPEC;
}

/**
 * The PROXY protocol, version 2 (haproxy.org, "The PROXY protocol", §2.2): who the client is, in front of its bytes.
 * Numbers are big-endian.
 */
import { type Socket, SocketAddress } from 'node:net';
import { addressBytes } from '../protocol/ip-address.ts';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const HEADER_BYTES = 16;
const LOCAL = 0x20;
const PROXY = 0x21;
const TCP4 = 0x11;
const TCP6 = 0x21;
const UNSPECIFIED = 0x00;
const MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');
const TCP4_BYTES = 12;
const TCP6_BYTES = 36;
/** Addresses and the usual extensions; one that claims more is not read. */
const MAX_BODY_BYTES = 2048;

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface ProxiedConnection {
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

function head(command: number, family: number, bodyBytes: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + bodyBytes);
  SIGNATURE.copy(bytes);
  bytes[12] = command;
  bytes[13] = family;
  bytes.writeUInt16BE(bodyBytes, 14);
  return bytes;
}

/** As one of IPv6 (RFC 4291 §2.5.5.2). */
function mapped(address: Buffer): Buffer {
  return address.length === 16 ? address : Buffer.concat([MAPPED_PREFIX, address]);
}

function textOf(address: Buffer): string {
  if (address.length === 4) return address.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => address.readUInt16BE(index * 2).toString(16));
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}

/** The header for one connection; addresses of different families are told as those of IPv6. */
export function encodeProxyHeader({ source, destination }: ProxiedConnection): Buffer {
  const [from, to] = [addressBytes(source.address), addressBytes(destination.address)];
  if (from === undefined || to === undefined) return head(LOCAL, UNSPECIFIED, 0);
  const four = from.length === 4 && to.length === 4;
  const bytes = four ? head(PROXY, TCP4, TCP4_BYTES) : head(PROXY, TCP6, TCP6_BYTES);
  const addresses = Buffer.concat(four ? [from, to] : [mapped(from), mapped(to)]);
  addresses.copy(bytes, HEADER_BYTES);
  const ports = HEADER_BYTES + addresses.length;
  bytes.writeUInt16BE(source.port, ports);
  bytes.writeUInt16BE(destination.port, ports + 2);
  return bytes;
}

/** What a header says. */
export interface DecodedHeader {
  /** How many bytes it takes. */
  readonly bytes: number;
  /** `undefined`: the neighbour speaks for itself (LOCAL), a health check for one. */
  readonly source: Endpoint | undefined;
}

/** A client that is passed on and not named (UNSPEC, UNIX, UDP) is not its neighbour, whose word would be believed. */
function sourceIn(bytes: Buffer, family: number, bodyBytes: number): Endpoint {
  if (family !== TCP4 && family !== TCP6) throw new Error('its PROXY header names no client of TCP');
  const size = family === TCP4 ? 4 : 16;
  if (bodyBytes < (family === TCP4 ? TCP4_BYTES : TCP6_BYTES)) throw new Error('its addresses are cut off');
  const address = textOf(bytes.subarray(HEADER_BYTES, HEADER_BYTES + size));
  return { address, port: bytes.readUInt16BE(HEADER_BYTES + 2 * size) };
}

/**
 * @param bytes from the start of the connection
 * @returns `undefined`: more bytes are needed
 * @throws Error that says what is wrong, in words that follow "it"
 */
export function decodeProxyHeader(bytes: Buffer): DecodedHeader | undefined {
  const known = Math.min(bytes.length, SIGNATURE.length);
  if (!bytes.subarray(0, known).equals(SIGNATURE.subarray(0, known)))
    throw new Error('it has no PROXY header, version 2');
  if (bytes.length < HEADER_BYTES) return undefined;
  const [command, family] = [bytes[12]!, bytes[13]!];
  if (command !== LOCAL && command !== PROXY) throw new Error('its PROXY header has an unknown command');
  const bodyBytes = bytes.readUInt16BE(14);
  if (bodyBytes > MAX_BODY_BYTES) throw new Error('its PROXY header is too long');
  if (bytes.length < HEADER_BYTES + bodyBytes) return undefined;
  const source = command === LOCAL ? undefined : sourceIn(bytes, family, bodyBytes);
  return { bytes: HEADER_BYTES + bodyBytes, source };
}

/**
 * Takes the header from the start of a connection; what follows it stays to be read.
 *
 * @param timeoutMs for all of it
 */
export function readProxyHeader(socket: Socket, timeoutMs: number): Promise<Endpoint | undefined> {
  return new Promise((resolve, reject) => {
    let held = Buffer.alloc(0);
    const alarm = setTimeout(() => end(new Error('its PROXY header did not come in time')), timeoutMs);
    const end = (result: Error | DecodedHeader) => {
      clearTimeout(alarm);
      socket.off('readable', read).off('end', gone).off('error', fail);
      if (result instanceof Error) {
        reject(result);
        return;
      }
      if (held.length > result.bytes) socket.unshift(held.subarray(result.bytes));
      resolve(result.source);
    };
    const fail = (error: Error) => end(error);
    const gone = () => end(new Error('it ended before its PROXY header'));
    const read = () => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read())
        held = Buffer.concat([held, chunk]);
      try {
        const header = decodeProxyHeader(held);
        if (header !== undefined) end(header);
      } catch (error) {
        end(error as Error);
      }
    };
    socket.on('readable', read).on('end', gone).on('error', fail);
  });
}

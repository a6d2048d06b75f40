/** IP addresses as the wire has them: 4 or 16 bytes, IPv4-mapped IPv6 as 4. */
import { isIPv4, isIPv6 } from 'node:net';

const DOT = 0x2e;
const ZERO = 0x30;

/** @param text dotted, checked already */
function octets(text: string): [number, number, number, number] {
  const bytes: [number, number, number, number] = [0, 0, 0, 0];
  let at = 0;
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charCodeAt(index);
    if (character === DOT) at += 1;
    else bytes[at] = bytes[at]! * 10 + character - ZERO;
  }
  return bytes;
}

/** 16-bit groups of a part of an IPv6 address, the last one perhaps in dotted form (RFC 4291 §2.2). */
function groups(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a, b, c, d] = octets(group);
    return [(a << 8) | b, (c << 8) | d];
  });
}

function ipv6(text: string): Buffer {
  const [head = '', tail] = text.split('::');
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const address = Buffer.alloc(16);
  const zeros = new Array<number>(8 - before.length - after.length).fill(0);
  for (const [at, group] of [...before, ...zeros, ...after].entries()) address.writeUInt16BE(group, at * 2);
  return address;
}

const MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');

/**
 * @param text an IP address as sockets have it; a zone ("%eth0") is left out
 * @returns 4 or 16 bytes, `undefined` if it is not an IP address
 */
export function addressBytes(text: string): Buffer | undefined {
  if (isIPv4(text)) return Buffer.from(octets(text));
  if (!isIPv6(text)) return undefined;
  const address = ipv6(text.replace(/%.*$/, ''));
  return address.subarray(0, 12).equals(MAPPED_PREFIX) ? address.subarray(12) : address;
}

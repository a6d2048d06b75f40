/** Where a key server is: `keys-1.internal:2407`, `192.0.2.1`, `[2001:db8::1]:2407`. */
import { isIPv6 } from 'node:net';
import { KeylessError } from '../errors.ts';
import { DEFAULT_PORT } from '../protocol/opcodes.ts';

export interface ServerAddress {
  readonly host: string;
  /** 1 to 65,535. */
  readonly port: number;
  /** As it was written: its name in errors and statistics. */
  readonly name: string;
  /** Of its SRV record, 0 to 65,535: lower ones are asked first; default 0. */
  readonly priority?: number | undefined;
}

function split(text: string): { host: string; port: string | undefined } | undefined {
  if (isIPv6(text)) return { host: text, port: undefined };
  const match = /^(?:\[([^\s[\]]+)\]|([^:\s[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const host = match[1] ?? match[2]!;
  if (match[1] !== undefined && !isIPv6(host)) return undefined;
  return { host, port: match[3] };
}

/** @param text host and, where it is not 2407, port; @throws ERR_KEYLESS_INVALID_ARGUMENT */
export function parseServerAddress(text: unknown): ServerAddress {
  const parts = typeof text === 'string' ? split(text) : undefined;
  const port = Number(parts?.port ?? DEFAULT_PORT);
  if (parts === undefined || port < 1 || port > 65_535) {
    throw new KeylessError(
      'ERR_KEYLESS_INVALID_ARGUMENT',
      `A key server is "host:port" or "[IPv6 address]:port", not ${JSON.stringify(text)}.`,
    );
  }
  return { host: parts.host, port, name: text as string };
}

/** Host names have no case (RFC 4343), and a DNS may change it from one answer to the next. */
function idOf({ host, port }: ServerAddress): string {
  return `${host.toLowerCase()} ${port}`;
}

/** @returns whether it is the same key server, of the same priority */
export function isSameServer(one: ServerAddress, other: ServerAddress): boolean {
  return idOf(one) === idOf(other) && one.priority === other.priority;
}

/** @returns each key server once, where it is named several times with the best of its priorities */
export function distinctServers(addresses: readonly ServerAddress[]): readonly ServerAddress[] {
  const byId = new Map<string, ServerAddress>();
  for (const address of addresses) {
    const id = idOf(address);
    const known = byId.get(id);
    if (known === undefined || (address.priority ?? 0) < (known.priority ?? 0)) byId.set(id, address);
  }
  return [...byId.values()];
}

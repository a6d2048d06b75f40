/** Where a host's traffic goes: what an operator wrote, and how to connect there. */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext } from 'node:tls';
import { KeylessError } from '../errors.ts';
import { BackendTls } from './backend-tls.ts';
import { quiet } from './quiet.ts';

/** `http` and `h2c`: HTTP/1.1 and HTTP/2 in clear; `https` and `h2`: over TLS; `tcp` and `tls`: bytes, whatever they are. */
export type BackendProtocol = 'http' | 'https' | 'h2c' | 'h2' | 'tcp' | 'tls';

export interface Backend {
  readonly protocol: BackendProtocol;
  readonly host: string;
  readonly port: number;
  /** As the operator wrote it, for logs. */
  readonly url: string;
  readonly tls: BackendTls | undefined;
  /** Keeps connections of `http` and `https`. */
  readonly agent: HttpAgent | HttpsAgent | undefined;
}

const PORTS: Readonly<Record<BackendProtocol, number | undefined>> = {
  http: 80,
  https: 443,
  h2c: 80,
  h2: 443,
  tcp: undefined,
  tls: undefined,
};
const OVER_TLS: ReadonlySet<BackendProtocol> = new Set(['https', 'h2', 'tls']);
const BACKEND =
  /^(?<protocol>[a-z0-9]+):\/\/(?:\[(?<six>[0-9a-f:.]+)\]|(?<host>[\w.-]+))(?::(?<port>\d{1,5}))?\/?$/i;

export function isHttp({ protocol }: Backend): boolean {
  return protocol !== 'tcp' && protocol !== 'tls';
}

/** Without a request, to one backend of HTTP. */
export const KEPT_CONNECTIONS = 256;

function agentFor(protocol: BackendProtocol): Backend['agent'] {
  const options = { keepAlive: true, maxFreeSockets: KEPT_CONNECTIONS, scheduling: 'lifo' } as const;
  if (protocol === 'http') return new HttpAgent(options);
  return protocol === 'https' ? new HttpsAgent(options) : undefined;
}

/**
 * Options of node:tls towards a backend. The name is the backend's own, never the one that a client asks for: an empty one
 * keeps node:https from taking it from the `Host`.
 */
export function tlsOptions({ host, tls }: Backend): {
  readonly secureContext?: SecureContext;
  readonly servername?: string;
} {
  if (tls === undefined) return {};
  return { secureContext: tls.context(), servername: isIP(host) ? '' : host };
}

/**
 * @param url `protocol://host[:port]`
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if it is none
 */
export function parseBackend(url: string, tls = new BackendTls()): Backend {
  const { protocol: name = '', six, host: four, port } = BACKEND.exec(url)?.groups ?? {};
  const protocol = name as BackendProtocol;
  const number = port === undefined ? PORTS[protocol] : Number(port);
  const host = six ?? four;
  if (!Object.hasOwn(PORTS, protocol) || host === undefined || !number || number > 65_535) {
    throw new KeylessError(
      'ERR_KEYLESS_INVALID_ARGUMENT',
      `${JSON.stringify(url)} is no backend: write http://, https://, h2c://, h2://, tcp:// or tls://, a host, and a port.`,
    );
  }
  const overTls = OVER_TLS.has(protocol) ? tls : undefined;
  return { protocol, host, port: number, url, tls: overTls, agent: agentFor(protocol) };
}

/** What a connection to a backend is for. */
export interface BackendUse {
  /** What is spoken on it (ALPN), if TLS is to tell the backend; `undefined`: nobody has said. */
  readonly protocol?: string | undefined;
  /** Whether it goes on when the backend has ended its side. */
  readonly allowHalfOpen?: boolean;
}

/** A connection of its own: for bytes, and for sessions of HTTP/2. */
export function connectBackend(
  backend: Backend,
  { protocol, allowHalfOpen = false }: BackendUse = {},
): Socket {
  const { host, port, tls } = backend;
  if (tls === undefined) return quiet(connectTcp({ host, port, allowHalfOpen, noDelay: true }));
  const options = { host, port, allowHalfOpen, ...tlsOptions(backend) };
  return quiet(connectTls(protocol === undefined ? options : { ...options, ALPNProtocols: [protocol] }));
}

/** What `keyless-tls proxy` was given, checked. */
import { BlockList, isIP, isIPv6 } from 'node:net';
import { type Backend, parseBackend } from '../proxy/backend.ts';
import { BackendTls } from '../proxy/backend-tls.ts';
import type { Host } from '../proxy/host-folder.ts';
import { readBackendCredentials } from './backend-tls.ts';
import { parseOptions, UsageError } from './command.ts';

const HINT = 'keyless-tls proxy --help';

export const OPTIONS = {
  hosts: { type: 'string' },
  backend: { type: 'string', multiple: true },
  listen: { type: 'string', default: '127.0.0.1:8443' },
  'default-host': { type: 'string' },
  'backend-ca': { type: 'string' },
  'backend-cert': { type: 'string' },
  'backend-key': { type: 'string' },
  alpn: { type: 'string', multiple: true },
  'send-proxy': { type: 'boolean', default: false },
  trust: { type: 'string', multiple: true },
  isolate: { type: 'boolean', default: false },
  workers: { type: 'string', default: '1' },
  metrics: { type: 'string' },
  'handshake-timeout': { type: 'string', default: '10000' },
  'backend-timeout': { type: 'string', default: '30000' },
  'idle-timeout': { type: 'string', default: '75000' },
  'drain-timeout': { type: 'string', default: '30000' },
  'max-connections': { type: 'string', default: '10000' },
  json: { type: 'boolean', default: false },
  quiet: { type: 'boolean', default: false },
} as const;

export type ProxyValues = ReturnType<typeof parseOptions<typeof OPTIONS>>;

type NumberOption =
  | 'workers'
  | 'handshake-timeout'
  | 'backend-timeout'
  | 'idle-timeout'
  | 'drain-timeout'
  | 'max-connections';

/** @throws UsageError */
export function numberOf(values: ProxyValues, name: NumberOption): number {
  if (/^[1-9]\d{0,8}$/.test(values[name])) return Number(values[name]);
  throw new UsageError(`--${name} is a whole number from 1 to 999,999,999.`, HINT);
}

function backendIn(url: string, tls: BackendTls): Backend {
  try {
    return parseBackend(url, tls);
  } catch (error) {
    throw new UsageError((error as Error).message, HINT);
  }
}

/** An option whose name no host has. */
export interface UnknownName {
  readonly option: '--default-host' | '--backend';
  readonly name: string;
}

/** `--backend [NAME=]URL`; without a name, it is empty. */
function splitBackend(text: string): { readonly name: string; readonly url: string } {
  const [, name = '', url = ''] = /^(?:([^=/:]+)=)?(.*)$/s.exec(text) ?? [];
  return { name: name.toLowerCase(), url };
}

/** They may come later, and are no reason not to begin; but whoever mistypes a name is to read of it. */
export function unknownNames(values: ProxyValues, hosts: readonly Host[]): readonly UnknownName[] {
  const labels = hosts.map(({ label }) => label);
  const names = new Set([
    '',
    ...labels.map((label) => label.toLowerCase()),
    ...hosts.flatMap((host) => host.names),
  ]);
  const unknown: UnknownName[] = (values.backend ?? [])
    .map((text) => splitBackend(text).name)
    .filter((name) => !names.has(name))
    .map((name) => ({ option: '--backend', name }));
  const name = values['default-host'];
  if (name === undefined || labels.includes(name)) return unknown;
  return [{ option: '--default-host', name }, ...unknown];
}

export interface Backends {
  /** How those over TLS are spoken to. */
  readonly tls: BackendTls;
  readonly all: readonly Backend[];
  of(host: Host): Backend | undefined;
}

/** `--backend URL` is for every host without one of its own, `--backend NAME=URL` for one. @throws UsageError */
export function parseBackends(values: ProxyValues): Backends {
  const tls = new BackendTls(readBackendCredentials(values));
  const byName = new Map<string, Backend>();
  for (const text of values.backend ?? []) {
    const { name, url } = splitBackend(text);
    if (byName.has(name)) throw new UsageError(`There are two backends for ${JSON.stringify(name)}.`, HINT);
    byName.set(name, backendIn(url, tls));
  }
  if (byName.size === 0) throw new UsageError('It needs --backend URL.', HINT);
  const of = ({ label, names }: Host) => {
    const own = [label.toLowerCase(), ...names].find((name) => byName.has(name));
    return byName.get(own ?? '');
  };
  return { tls, all: [...byName.values()], of };
}

/** @throws UsageError for what is no address and no `address/prefix` */
export function parseTrusted(ranges: readonly string[] = []): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix, more] = range.split('/');
    const bits = isIPv6(address) ? 128 : 32;
    const length = Number(prefix ?? bits);
    const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && length <= bits);
    if (isIP(address) === 0 || !isPrefix || more !== undefined)
      throw new UsageError(`--trust ${JSON.stringify(range)} is no address and no address/prefix.`, HINT);
    list.addSubnet(address, length, isIPv6(address) ? 'ipv6' : 'ipv4');
  }
  return list;
}

/** @throws UsageError */
export function parseProxy(args: readonly string[]): ProxyValues & { readonly hosts: string } {
  const values = parseOptions('proxy', args, OPTIONS);
  const { hosts } = values;
  if (hosts === undefined) throw new UsageError('It needs --hosts FOLDER.', HINT);
  if (numberOf(values, 'workers') > 256) throw new UsageError('--workers is at most 256.', HINT);
  return { ...values, hosts };
}

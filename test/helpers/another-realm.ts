/**
 * `node --experimental-vm-modules another-realm.js <PEM of a certificate and its key>`: loads the package once more into a realm of
 * its own, as runners of tests do for each of their files, and has servers of both serve, with keys here and at key servers of
 * both, and handshakes without a socket: their protocols, one a line.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import tls, { type TLSSocket, type TlsOptions } from 'node:tls';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';
import * as ours from '../../lib/index.ts';
import { makeAuthority } from './certificates.ts';

type Copy = Pick<
  typeof ours,
  | 'createServer'
  | 'localKey'
  | 'createKeyServer'
  | 'keyStoreOf'
  | 'pemKey'
  | 'connectKeyServers'
  | 'Handshake'
>;

/** Of its own it has what JavaScript has; what Node adds is everybody's. */
const realm = vm.createContext();
const has = vm.runInContext('(name) => name in globalThis', realm) as (name: string) => boolean;
for (const name of Object.getOwnPropertyNames(globalThis)) {
  if (!has(name)) Object.assign(realm, { [name]: (globalThis as Record<string, unknown>)[name] });
}
const modules = new Map<string, Promise<vm.Module>>();

/** What is not of this package is everybody's. */
async function shared(name: string): Promise<vm.Module> {
  const exports = (await import(name)) as Record<string, unknown>;
  const module: vm.SyntheticModule = new vm.SyntheticModule(
    Object.keys(exports),
    () => {
      for (const [key, value] of Object.entries(exports)) module.setExport(key, value);
    },
    { context: realm },
  );
  return module;
}

function isOurs(name: string): boolean {
  return name.startsWith('.') || name.startsWith('file:');
}

function find(name: string, from: string): Promise<vm.Module> {
  const url = isOurs(name) ? new URL(name, from).href : name;
  const known = modules.get(url) ?? (isOurs(name) ? own(url) : shared(name));
  modules.set(url, known);
  return known;
}

async function own(url: string): Promise<vm.Module> {
  return new vm.SourceTextModule(readFileSync(fileURLToPath(url), 'utf8'), {
    context: realm,
    identifier: url,
    initializeImportMeta: (meta) => Object.assign(meta, { url }),
    importModuleDynamically: ((name: string) => load(name, url)) as never,
  });
}

async function load(name: string, from: string): Promise<vm.Module> {
  const module = await find(name, from);
  if (module.status === 'unlinked') await module.link((wanted, { identifier }) => find(wanted, identifier));
  await module.evaluate();
  return module;
}

const { namespace } = await load('../../lib/index.js', import.meta.url);
const theirs = namespace as Copy;
const pem = readFileSync(0, 'utf8');

async function visit(copy: Copy, options: TlsOptions, key: unknown = copy.localKey(pem)) {
  const server = copy.createServer({ cert: pem, ...options, key } as never).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['a'] });
  await Promise.all([once(client, 'secureConnect'), once(server, 'secureConnection')]);
  const protocol = client.getProtocol();
  client.destroy();
  server.close();
  return protocol;
}

const authority = await makeAuthority();
const [server, edge] = await Promise.all([
  authority.issue({ type: 'p256', usage: 'server' }),
  authority.issue({ type: 'p256', usage: 'client' }),
]);

/** @param holder who holds the key */
async function visitRemote(copy: Copy, holder: Copy): Promise<string | null> {
  const ca = authority.certPem;
  const keys = holder.keyStoreOf([holder.pemKey(pem, 'here')]);
  const keyServer = holder.createKeyServer({ cert: server.certPem, key: server.keyPem, ca, keys });
  const { port } = await keyServer.listen(0, '127.0.0.1');
  const remote = { servers: [`127.0.0.1:${port}`], cert: edge.certPem, key: edge.keyPem, ca };
  const protocol = await visit(copy, {}, copy.connectKeyServers(remote));
  await keyServer.close();
  return protocol;
}

/** @returns its state when it has read what a client of the other realm has to say */
function withoutSocket(copy: Copy, other: Copy): string {
  const client = new other.Handshake({ role: 'client', servername: 'localhost', ca: pem });
  const served = new copy.Handshake({
    role: 'server',
    cert: pem,
    key: { schemes: ['rsa_pss_rsae_sha256'] },
  });
  return served.feed(client.drain());
}

const ALPNCallback = function (this: TLSSocket, { protocols }: { protocols: string[] }) {
  return protocols[0];
};
for (const copy of [ours, theirs, ours]) {
  for (const options of [{ maxVersion: 'TLSv1.2' }, {}, { ALPNCallback }] as TlsOptions[]) {
    console.log(await visit(copy, options));
  }
}
for (const [copy, other] of [
  [ours, theirs],
  [theirs, ours],
  [theirs, theirs],
] as const) {
  console.log(await visitRemote(copy, other), withoutSocket(copy, other));
}
console.log(ours.createServer === theirs.createServer ? 'the same' : 'another');
process.exit();

/** `keyless-tls proxy --hosts`: the folder, read at the start and whenever it changes. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, type HostFolder, indexHosts, readHostFolder } from '../proxy/host-folder.ts';
import type { TlsProxy } from '../proxy/tls-proxy.ts';
import type { WatchedFile } from '../wrap/watched-file.ts';
import { UsageError } from './command.ts';
import type { Print } from './event-lines.ts';

/** Polling finds files that were replaced, on any file system. */
const POLL_MS = 500;

let register: typeof import('../wrap/register.ts') | undefined;

/** Stubs need the key servers of the configuration; who has none needs no configuration. */
async function prepareFor(anyStub: boolean): Promise<void> {
  if (!anyStub || register !== undefined) return;
  const loaded = await import('../wrap/register.ts');
  loaded.neededConfig();
  // A stub that comes later, without key servers, is one host that fails, and no reason to end the others.
  loaded.takeStart();
  register = loaded;
}

function tell(folder: HostFolder, proxy: TlsProxy, print: Print): void {
  const { index, problems } = indexHosts(folder);
  for (const { file, reason } of problems) print('host-problem', { file, reason });
  proxy.setHosts(index, folder.hosts);
}

function tellHosts(event: string, hosts: readonly Host[], print: Print): void {
  for (const { label, names, expiresAt } of hosts)
    print(event, { host: label, names: names.join(), expires: expiresAt.toISOString() });
}

/** Changes with anything that may change a host. */
function stateOf(path: string): string {
  try {
    return readdirSync(path)
      .filter((name) => /\.(?:crt|key)$/.test(name))
      .map((name) => {
        const { ino, size, mtimeMs, mode } = statSync(join(path, name), { throwIfNoEntry: false }) ?? {};
        return [name, ino, size, mtimeMs, mode].join();
      })
      .join('\n');
  } catch {
    return '';
  }
}

/** @throws UsageError if there is no usable host; KeylessError if no key server can be reached, and `startup` is `fail` */
async function firstLook(path: string, proxy: TlsProxy, print: Print): Promise<HostFolder> {
  let folder: HostFolder;
  try {
    folder = await readHostFolder(path, undefined, prepareFor);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'EACCES') throw error;
    throw new UsageError(
      `The folder of --hosts cannot be read: ${(error as Error).message}`,
      'keyless-tls proxy --help',
    );
  }
  tell(folder, proxy, print);
  tellHosts('host', folder.hosts, print);
  await register?.startedUp();
  if (folder.hosts.length > 0) return folder;
  const why = folder.problems.map(({ file, reason }) => ` ${file}: ${reason}.`).join('');
  throw new UsageError(
    `The folder of --hosts holds no usable host (NAME.crt with NAME.key, PEM).${why}`,
    'keyless-tls proxy --help',
  );
}

export interface ServedHosts extends WatchedFile {
  /** Whether a key is on a key server. */
  hasStubs(): boolean;
}

/** Loads the hosts, and again when the folder changes: what is there then takes effect for new connections. */
export async function serveHosts(path: string, proxy: TlsProxy, print: Print): Promise<ServedHosts> {
  let state = stateOf(path);
  let folder = await firstLook(path, proxy, print);
  let reading = false;
  const reload = async () => {
    if (reading) return;
    reading = true;
    state = stateOf(path);
    try {
      const before = new Set(folder.hosts.map(({ label }) => label));
      folder = await readHostFolder(path, folder, prepareFor);
      tell(folder, proxy, print);
      const now = new Set(folder.hosts.map(({ label }) => label));
      tellHosts('host', folder.hosts, print);
      for (const label of before) if (!now.has(label)) print('host-removed', { host: label });
    } catch (error) {
      print('host-problem', { file: path, reason: (error as Error).message });
    } finally {
      reading = false;
    }
  };
  const timer = setInterval(() => {
    if (stateOf(path) !== state) void reload();
  }, POLL_MS).unref();
  return {
    reload: () => void reload(),
    close: () => clearInterval(timer),
    hasStubs: () => [...folder.pairs.values()].some(({ isStub }) => isStub),
  };
}

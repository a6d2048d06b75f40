/** `keyless-tls proxy --hosts`: the folder, read at the start and whenever it changes. */
import type { KeyServers } from '../keys/key-servers.ts';
import {
  type Host,
  type HostFolder,
  type HostProblem,
  indexHosts,
  readHostFolder,
} from '../proxy/host-folder.ts';
import type { TlsProxy } from '../proxy/tls-proxy.ts';
import type { WatchedFile } from '../wrap/watched-file.ts';
import { UsageError } from './command.ts';
import type { Print } from './event-lines.ts';

/** Polling finds files that were replaced, on any file system. */
const POLL_MS = 500;

let register: typeof import('../wrap/register.ts') | undefined;

/**
 * Stubs need the key servers of the configuration; who has none needs no configuration.
 *
 * @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT: there is none
 */
export async function prepareStubs(): Promise<void> {
  if (register !== undefined) return;
  const loaded = await import('../wrap/register.ts');
  loaded.neededConfig();
  // A stub that comes later, without key servers, is one host that fails, and no reason to end the others.
  loaded.takeStart();
  register = loaded;
}

/** For their metrics; `undefined`: no stub has needed them yet. */
export function usedKeyServers(): KeyServers | undefined {
  return register?.registeredKeyServers();
}

/** What is told of hosts, each problem once. */
class HostLines {
  readonly #print: Print;
  #told = new Set<string>();

  constructor(print: Print) {
    this.#print = print;
  }

  /** Those that were told of, and are still there, are told of again. */
  forget(): void {
    this.#told.clear();
  }

  problems(all: readonly HostProblem[]): void {
    const before = this.#told;
    this.#told = new Set(all.map(({ file, reason }) => `${file}: ${reason}`));
    for (const { file, reason } of all)
      if (!before.has(`${file}: ${reason}`)) this.#print('host-problem', { file, reason });
  }

  changes(before: HostFolder['files'], { files }: HostFolder): void {
    for (const [label, { host, problem }] of files) {
      const old = before.get(label);
      if (host === undefined || problem !== undefined) continue;
      if (host === old?.host && old.problem === undefined) continue;
      const { names, expiresAt } = host;
      this.#print('host', { host: label, names: names.join(), expires: expiresAt.toISOString() });
    }
    for (const [label, { host }] of before)
      if (host !== undefined && !files.has(label)) this.#print('host-removed', { host: label });
  }
}

/** @throws UsageError if the folder cannot be read; KeylessError if there is a stub and no configuration */
async function firstLook(path: string): Promise<HostFolder> {
  let unprepared: Error | undefined;
  const prepare = () =>
    prepareStubs().catch((error) => {
      unprepared = error;
      throw error;
    });
  let folder: HostFolder;
  try {
    folder = await readHostFolder(path, undefined, prepare);
  } catch (error) {
    throw new UsageError(
      `The folder of --hosts cannot be read: ${(error as Error).message}`,
      'keyless-tls proxy --help',
    );
  }
  if (unprepared !== undefined) throw unprepared;
  return folder;
}

/** @throws UsageError */
function demandHosts({ hosts, problems }: HostFolder): void {
  if (hosts.length > 0) return;
  const why = problems.map(({ file, reason }) => ` ${file}: ${reason}.`).join('');
  throw new UsageError(
    `The folder of --hosts holds no usable host (NAME.crt with NAME.key, PEM).${why}`,
    'keyless-tls proxy --help',
  );
}

/** As if their files had not been read: they stay what they are until they are made again. */
function unread(files: HostFolder['files'], labels: ReadonlySet<string>): HostFolder['files'] {
  const forgotten = { seen: undefined, digest: undefined };
  return new Map(
    [...files].map(([label, each]) => [label, labels.has(label) ? { ...each, ...forgotten } : each]),
  );
}

/** Hosts whose private keys have been lost, until each is made again. */
class LostKeys {
  #labels = new Set<string>();

  /** Of all those that are there. */
  add({ files }: HostFolder): void {
    for (const [label, { isStub }] of files) if (!isStub) this.#labels.add(label);
  }

  /**
   * Looks again at the files of the hosts that have lost theirs.
   *
   * @param look reads what is not as it was
   * @param take serves what was found
   */
  async restore(
    folder: HostFolder,
    look: (before: HostFolder) => Promise<HostFolder>,
    take: (found: HostFolder) => void,
  ): Promise<void> {
    const labels = this.#labels;
    // Those that are lost meanwhile are for the next time, and so are those that cannot be made now.
    this.#labels = new Set();
    const isSame = (found: HostFolder, label: string) =>
      found.files.has(label) && found.files.get(label)?.host === folder.files.get(label)?.host;
    let left = [...labels];
    try {
      const found = await look(
        labels.size === 0 ? folder : { ...folder, files: unread(folder.files, labels) },
      );
      take(found);
      left = left.filter((label) => isSame(found, label));
    } finally {
      for (const label of left) this.#labels.add(label);
    }
  }
}

export interface ServedHosts extends WatchedFile {
  /** The process that held the private keys is gone: they are read from the folder again. */
  keysLost(): void;
  /** Now. */
  readonly hosts: readonly Host[];
}

const NO_FILES: HostFolder['files'] = new Map();

/** Whether the hosts, or what is wrong with them, are others. */
function differs(before: HostFolder['files'], { files }: HostFolder): boolean {
  if (files.size !== before.size) return true;
  return [...files].some(([label, { host, problem }]) => {
    const old = before.get(label);
    return host !== old?.host || problem !== old?.problem;
  });
}

/**
 * Loads the hosts, and again what changes in the folder: what is there then takes effect for new connections.
 *
 * @param onHosts is called whenever the hosts, or what is wrong with them, have become others
 * @throws UsageError if there is no usable host; KeylessError if no key server can be reached, and `startup` is `fail`
 */
export async function serveHosts(
  path: string,
  proxy: TlsProxy,
  print: Print,
  onHosts: () => void,
): Promise<ServedHosts> {
  const lines = new HostLines(print);
  let folder = await firstLook(path);
  let problems: readonly HostProblem[] = [];
  const take = (found: HostFolder, before: HostFolder['files']) => {
    if (!differs(before, found)) {
      folder = found;
      return;
    }
    const indexed = indexHosts(found);
    proxy.setHosts(indexed.index, found.hosts);
    [folder, problems] = [found, indexed.problems];
    lines.problems(problems);
    lines.changes(before, found);
    onHosts();
  };
  take(folder, NO_FILES);
  await register?.startedUp();
  demandHosts(folder);
  const lost = new LostKeys();
  let looking = false;
  const look = async () => {
    if (looking) return;
    looking = true;
    try {
      await lost.restore(
        folder,
        (before) => readHostFolder(path, before, prepareStubs),
        (found) => take(found, folder.files),
      );
      lines.problems(problems);
    } catch (error) {
      lines.problems([{ file: path, reason: (error as Error).message }]);
    } finally {
      looking = false;
    }
  };
  const timer = setInterval(look, POLL_MS).unref();
  return {
    get hosts() {
      return folder.hosts;
    },
    reload: () => {
      lines.forget();
      void look();
    },
    keysLost: () => {
      lost.add(folder);
      void look();
    },
    close: () => clearInterval(timer),
  };
}

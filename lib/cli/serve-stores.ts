/** `keyless-tls serve`: where its keys are. A directory, an SSH agent, a PKCS#11 token, or several of them. */
import { subscribe } from 'node:diagnostics_channel';
import { type Clock, systemClock } from '../clock.ts';
import { KeylessError } from '../errors.ts';
import type { ServerKeyFailed } from '../server/channels.ts';
import { asKeyId, namedIds } from '../server/key-names.ts';
import type { KeysOptions } from '../server/key-rules.ts';
import type { KeyProblem, KeyStore, LiveKeyStore, StoredKey } from '../server/key-store.ts';
import { pkcs11Token } from '../server/stores/pkcs11-token.ts';
import { sshAgent } from '../server/stores/ssh-agent.ts';
import { seeFiles, type WatchedFile, watchedFiles } from '../wrap/watched-file.ts';
import { UsageError } from './command.ts';
import type { Print } from './event-lines.ts';
import { askPassphrase } from './passphrase-prompt.ts';
import { requiredOption } from './pem-option.ts';
import {
  loadKeys,
  polled,
  readSecretLine,
  reloading,
  tellKeys,
  tellProblems,
  watchKeys,
  watchPassphrase,
} from './serve-keys.ts';

const HINT = 'keyless-tls serve --help';
/** Asking an agent for its keys costs it nothing; keys that are added count within this time. */
const AGENT_POLL_MS = 2000;

/** Options of `serve`, for parseArgs. */
export const STORE_OPTIONS = {
  keys: { type: 'string' },
  'passphrase-file': { type: 'string' },
  'ask-passphrase': { type: 'boolean' },
  'ssh-agent': { type: 'string' },
  pkcs11: { type: 'string' },
  token: { type: 'string' },
  'token-key': { type: 'string', multiple: true },
  'pin-file': { type: 'string' },
} as const;

export interface StoreValues {
  readonly keys?: string | undefined;
  readonly 'passphrase-file'?: string | undefined;
  readonly 'ask-passphrase'?: boolean | undefined;
  readonly 'ssh-agent'?: string | undefined;
  readonly pkcs11?: string | undefined;
  readonly token?: string | undefined;
  readonly 'token-key'?: string[] | undefined;
  readonly 'pin-file'?: string | undefined;
  readonly 'allow-decrypt'?: string[] | undefined;
  readonly policy?: string | undefined;
}

interface WatchedKeys extends Required<KeyStore> {
  /** Looks again when the keys change, and when it is told to. @param looked called after each look */
  watch(looked: () => void): WatchedFile;
  close(): void;
}

export interface ServedKeys extends WatchedKeys {
  watch(): WatchedFile;
  /** What the policy says that single keys are for, from here on. */
  setRules(keys: KeysOptions | undefined): void;
}

type Opened = LiveKeyStore & { readonly problems: readonly KeyProblem[] };

async function openStore(option: string, opening: Promise<Opened>, print: Print): Promise<Opened> {
  let store: Opened;
  try {
    store = await opening;
  } catch (error) {
    throw new UsageError(`${option}: ${(error as Error).message}`, HINT);
  }
  tellProblems(store.problems, print);
  tellKeys('key', store.keys, print);
  if (store.keys.length > 0) return store;
  store.close();
  const why = store.problems.map(({ file, reason }) => ` ${file}: ${reason}.`).join('');
  throw new UsageError(`${option} has no usable key.${why}`, HINT);
}

function served(store: LiveKeyStore, watch: WatchedKeys['watch']): WatchedKeys {
  return {
    find: (selector) => store.find(selector),
    named: (label) => store.named?.(label) ?? [],
    watch,
    close: () => store.close(),
  };
}

function watchedTogether(watched: readonly WatchedFile[]): WatchedFile {
  return {
    reload: () => watched.forEach((each) => void each.reload()),
    close: () => watched.forEach((each) => void each.close()),
  };
}

function passphraseOf(values: StoreValues): Promise<string> | string | undefined {
  const file = values['passphrase-file'];
  if (values['ask-passphrase'] === true) return askPassphrase('Passphrase of the keys: ');
  return file === undefined ? undefined : readSecretLine('--passphrase-file', file);
}

async function openDirectory(path: string, values: StoreValues, print: Print): Promise<WatchedKeys> {
  const file = values['passphrase-file'];
  const seen = file === undefined ? undefined : seeFiles([file]);
  const directory = loadKeys(path, await passphraseOf(values), print);
  const watch = (looked: () => void) => {
    const keys = watchKeys(path, directory, print, looked);
    return seen === undefined ? keys : watchedTogether([watchPassphrase(seen, directory, keys, print), keys]);
  };
  return {
    find: (selector) => directory.find(selector),
    named: (label) => directory.named(label),
    watch,
    close: () => undefined,
  };
}

async function openAgent(path: string, print: Print): Promise<WatchedKeys> {
  if (path === '') {
    throw new UsageError(
      '--ssh-agent is empty: is SSH_AUTH_SOCK set? It is the path of a Unix socket.',
      HINT,
    );
  }
  const agent = await openStore('--ssh-agent', sshAgent({ path }), print);
  const watch = (looked: () => void) =>
    polled(reloading('ssh-agent', agent, agent.problems, print, looked), AGENT_POLL_MS);
  return served(agent, watch);
}

/** How lines call it. */
const TOKEN = 'pkcs11';

async function openToken(library: string, values: StoreValues, print: Print): Promise<WatchedKeys> {
  const pinFile = values['pin-file'];
  const pin = pinFile === undefined ? undefined : () => readSecretLine('--pin-file', pinFile);
  const seen = seeFiles(pinFile === undefined ? [] : [pinFile]);
  pin?.();
  const { token: label, 'token-key': keys } = values;
  // A policy may name keys for it, now or later; the key server asks no other to decrypt.
  const decrypt = values['allow-decrypt'] !== undefined || values.policy !== undefined;
  const token = await openStore(
    '--pkcs11',
    pkcs11Token({ library, token: label, keys, pin, decrypt }),
    print,
  );
  // A token is not asked again and again, for the sake of its PIN: only when that may be another.
  const watch = (looked: () => void) => {
    const list = reloading(TOKEN, token, token.problems, print, looked);
    const read = () => {
      pin?.();
      list();
    };
    return watchedFiles(seen, read, ({ message: reason }) => tellProblems([{ file: TOKEN, reason }], print));
  };
  return served(token, watch);
}

/** A key that goes on failing for the same reason is told of again after so long. */
const AGAIN_MS = 10_000;

/** What keys are not asked for is refused with an error; why they failed is for the operator. */
export function tellFailures(print: Print, clock: Clock = systemClock): void {
  /** By key. */
  const told = new Map<string, { readonly reason: string; readonly at: number }>();
  subscribe('keyless-tls:server:key-failed', (message) => {
    const { label, error } = message as ServerKeyFailed;
    const reason = error instanceof KeylessError ? error.message : 'the operation failed';
    const [before, at] = [told.get(label), clock.now()];
    if (before?.reason === reason && at - before.at < AGAIN_MS) return;
    told.set(label, { reason, at });
    print('key-problem', { file: label, reason });
  });
}

function requireCompanion(values: StoreValues): void {
  for (const name of ['token', 'token-key', 'pin-file'] as const) {
    if (values[name] !== undefined && values.pkcs11 === undefined) {
      throw new UsageError(`--${name} needs --pkcs11.`, HINT);
    }
  }
  const passphrases = (['passphrase-file', 'ask-passphrase'] as const).filter(
    (name) => values[name] !== undefined,
  );
  if (passphrases.length > 0 && values.keys === undefined) {
    throw new UsageError(`--${passphrases[0]} needs --keys.`, HINT);
  }
  if (passphrases.length > 1) {
    throw new UsageError('Give --passphrase-file or --ask-passphrase, not both.', HINT);
  }
}

function isForSigningOnly(id: string, rules: KeysOptions): boolean {
  const [, rule] = Object.entries(rules).find(([each]) => each.toLowerCase() === id) ?? [];
  return rule?.uses?.includes('decrypt') === false;
}

/** Of what `--allow-decrypt` names, and decrypts. */
function whyNotNamed(ids: readonly string[], rules: KeysOptions): string | undefined {
  if (ids.length > 1) return 'several keys that decrypt have that label: give the id of one';
  return isForSigningOnly(ids[0]!, rules) ? 'by its "uses" in the policy it signs only' : undefined;
}

/** Why what `--allow-decrypt` names does not decrypt; `undefined`: it does. */
function whyNotDecrypting(name: string, store: WatchedKeys, rules: KeysOptions): string | undefined {
  const id = asKeyId(name);
  const ids = id === undefined ? namedIds(store, name) : [id];
  const keys = ids.map((each) =>
    store.find({ keyId: Buffer.from(each, 'hex'), certificateDigest: undefined }),
  );
  if (keys.some((key) => key?.decryptRaw !== undefined)) return whyNotNamed(ids, rules);
  return keys.some((key) => key !== undefined)
    ? 'it does not decrypt, which RSA keys of --keys and --pkcs11 do'
    : 'there is no such key now';
}

/**
 * A key may come later, go, or share its label with another one. Nobody would know why nothing is decrypted.
 *
 * @returns tells of what is otherwise than it was
 */
function undecryptingTeller(
  names: readonly string[],
  store: WatchedKeys,
  rules: () => KeysOptions,
  print: Print,
): () => void {
  const told = new Map<string, string | undefined>();
  return () => {
    for (const name of names) {
      const why = whyNotDecrypting(name, store, rules());
      const isKnown = told.get(name) === why;
      told.set(name, why);
      if (why === undefined || isKnown) continue;
      print('key-problem', { file: name, reason: `--allow-decrypt names it, and ${why}` });
    }
  };
}

/** @throws UsageError if there is no place for keys, or none has a usable key */
export async function openKeys(values: StoreValues, print: Print): Promise<ServedKeys> {
  const { keys, pkcs11, 'ssh-agent': agent } = values;
  requireCompanion(values);
  if (pkcs11 === undefined && agent === undefined) requiredOption('serve', { keys }, 'keys');
  const stores: WatchedKeys[] = [];
  try {
    if (keys !== undefined) stores.push(await openDirectory(keys, values, print));
    if (agent !== undefined) stores.push(await openAgent(agent, print));
    if (pkcs11 !== undefined) stores.push(await openToken(pkcs11, values, print));
  } catch (error) {
    for (const store of stores) store.close();
    throw error;
  }
  tellFailures(print);
  const all = together(stores);
  let rules: KeysOptions = {};
  const tellUndecrypting = undecryptingTeller(values['allow-decrypt'] ?? [], all, () => rules, print);
  tellUndecrypting();
  const setRules = (of: KeysOptions = {}) => {
    rules = of;
    tellUndecrypting();
  };
  return { ...all, watch: () => all.watch(tellUndecrypting), setRules };
}

/** Where two have a key, the first one's is used. */
function together(stores: readonly WatchedKeys[]): WatchedKeys {
  return {
    find(selector) {
      let key: StoredKey | undefined;
      for (const store of stores) key ??= store.find(selector);
      return key;
    },
    named: (label) => stores.flatMap((store) => store.named(label)),
    watch: (looked) => watchedTogether(stores.map((store) => store.watch(looked))),
    close: () => stores.forEach((store) => void store.close()),
  };
}

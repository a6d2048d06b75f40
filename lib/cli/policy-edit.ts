/** Edits of a key server's policy file by commands: one after the other, each of what the one before it has written. */
import { closeSync, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryLockFile } from '../engine/file-lock.ts';
import { KeylessError } from '../errors.ts';
import { parsePolicy } from '../server/policy-file.ts';
import { replaceFile } from './replaced-file.ts';

/** The policy as it is in the file: what a command does not know of stays as it is, in its order. */
export interface PolicyDraft {
  readonly version: 1;
  readonly clients: readonly ClientDraft[];
  readonly revoked?: readonly string[];
}

export interface ClientDraft {
  readonly name: string;
  readonly identities: readonly string[];
  readonly tickets?: { readonly group: string };
}

const POLL_MS = 20;
const PATIENCE_MS = 10_000;

/** Another edit may have put another file in its place since it was opened. */
function isStill(path: string, file: number): boolean {
  const [here, there] = [fstatSync(file), statSync(path, { throwIfNoEntry: false })];
  return there !== undefined && here.ino === there.ino && here.dev === there.dev;
}

/** @returns the file that is at the path now, locked; `undefined`: somebody else has it */
function tryOpen(path: string): number | undefined {
  const file = openSync(path, 'r+');
  try {
    if (tryLockFile(file) && isStill(path, file)) return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
  closeSync(file);
  return undefined;
}

async function openLocked(path: string): Promise<number> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    const file = tryOpen(path);
    if (file !== undefined) return file;
    if (performance.now() >= until) {
      throw new KeylessError('ERR_KEYLESS_TIMEOUT', `Another command has been editing ${path} for too long.`);
    }
    await sleep(POLL_MS);
  }
}

/**
 * @param edit gets the policy as it is once nobody else edits it, and answers with another, or the same: then nothing is
 * written. What it does besides happens while nobody else edits the policy
 * @returns what is in the file now
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if either cannot be used, ERR_KEYLESS_TIMEOUT if another edit does not end; the file
 * is then as it was
 */
export async function editPolicy(
  path: string,
  edit: (policy: PolicyDraft) => PolicyDraft,
): Promise<PolicyDraft> {
  const file = await openLocked(path);
  try {
    const text = readFileSync(file, 'utf8');
    parsePolicy(text);
    const policy = JSON.parse(text) as PolicyDraft;
    const edited = edit(policy);
    if (edited === policy) return policy;
    const next = `${JSON.stringify(edited, undefined, 2)}\n`;
    parsePolicy(next);
    replaceFile(path, next);
    return edited;
  } finally {
    closeSync(file);
  }
}

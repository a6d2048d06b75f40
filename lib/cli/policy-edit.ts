/** Edits of a key server's policy file by commands: one after the other, each of what the one before it has written. */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { tryLockFile } from '../engine/file-lock.ts';
import { isAtPath } from '../server/file-at-path.ts';
import type { GrantsOptions } from '../server/grants.ts';
import { parsePolicy } from '../server/policy-file.ts';
import { openLocked } from './awaited-lock.ts';
import { replaceFile } from './replaced-file.ts';

/** The policy as it is in the file, in its order. */
export type PolicyDraft = GrantsOptions & { readonly version: 1 };

/** @throws ERR_KEYLESS_INVALID_ARGUMENT if it cannot be used */
function draftOf(text: string): PolicyDraft {
  parsePolicy(text);
  return JSON.parse(text) as PolicyDraft;
}

/** @throws ERR_KEYLESS_INVALID_ARGUMENT if it cannot be used */
export function policyText(policy: PolicyDraft): string {
  const text = `${JSON.stringify(policy, undefined, 2)}\n`;
  parsePolicy(text);
  return text;
}

/** @returns the file that is at the path now, locked; `undefined`: somebody else has it */
function tryOpen(path: string): number | undefined {
  const file = openSync(path, 'r+');
  try {
    // Another edit may have put another file in its place since it was opened.
    if (tryLockFile(file) && isAtPath(file, path)) return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
  closeSync(file);
  return undefined;
}

/**
 * @param work gets the policy as it is once nobody else edits it, and a function that writes another; until it returns,
 * nobody else edits the policy
 * @returns what `work` does
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if either policy cannot be used, ERR_KEYLESS_TIMEOUT if another edit does not end;
 * the file is then as it was
 */
export async function editPolicy<T>(
  path: string,
  work: (policy: PolicyDraft, write: (next: PolicyDraft) => void) => T,
): Promise<T> {
  const file = await openLocked(path, () => tryOpen(path));
  try {
    return work(draftOf(readFileSync(file, 'utf8')), (next) => replaceFile(path, policyText(next)));
  } finally {
    closeSync(file);
  }
}

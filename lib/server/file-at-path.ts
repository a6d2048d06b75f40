/** Whether an open file is still what its path leads to: a path may be given to another file, or to none, at any time. */
import { fstatSync, statSync } from 'node:fs';

/** @throws what node:fs does where the path cannot be looked at */
export function isAtPath(file: number, path: string): boolean {
  const [here, there] = [fstatSync(file), statSync(path, { throwIfNoEntry: false })];
  return there !== undefined && here.ino === there.ino && here.dev === there.dev;
}

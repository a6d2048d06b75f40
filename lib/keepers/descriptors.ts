/** Open files of an app that the processes with its keys would share. */
import { closeSync, fstatSync, readdirSync, readFileSync } from 'node:fs';

const DESCRIPTORS = '/proc/self/fdinfo';
const LAST_OF_STDIO = 2;
const O_CLOEXEC = 0o2000000;

/**
 * A descriptor that a program started now finds open, as `number:inode`: another thread may close it before that program starts,
 * which then has something of its own under the number.
 *
 * @returns `undefined`: no program finds it, or it is gone (that of the list itself is)
 */
function nameOfInherited(descriptor: number): string | undefined {
  try {
    const info = readFileSync(`${DESCRIPTORS}/${descriptor}`, 'latin1');
    const [, flags] = /^flags:\s*([0-7]+)$/m.exec(info) ?? [];
    if (flags === undefined || (Number.parseInt(flags, 8) & O_CLOEXEC) !== 0) return undefined;
    return `${descriptor}:${fstatSync(descriptor).ino}`;
  } catch {
    return undefined;
  }
}

/**
 * What a program inherits that is started now, beside standard input and output: none of Node's own descriptors, but addons open
 * others, and so may have who started this process. A program cannot tell them from its own. Linux; elsewhere none are found.
 *
 * @returns arguments for {@link closeDescriptors}
 */
export function inheritedDescriptors(): string[] {
  try {
    return readdirSync(DESCRIPTORS)
      .map(Number)
      .filter((descriptor) => descriptor > LAST_OF_STDIO)
      .map(nameOfInherited)
      .filter((name) => name !== undefined);
  } catch {
    return [];
  }
}

/** @param names as of {@link inheritedDescriptors} in the process that started this one */
export function closeDescriptors(names: readonly string[]): void {
  for (const name of names) {
    const [descriptor = -1, inode] = name.split(':').map(Number);
    try {
      if (fstatSync(descriptor).ino === inode) closeSync(descriptor);
    } catch {
      // It was closed there before this process was started.
    }
  }
}

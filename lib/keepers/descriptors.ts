/** Open files of an app that the processes with its keys would share. */
import { closeSync, readdirSync, readFileSync } from 'node:fs';

const DESCRIPTORS = '/proc/self/fdinfo';
const LAST_OF_STDIO = 2;
const O_CLOEXEC = 0o2000000;

/** Whether a program that this process starts finds it open. One that is gone (that of the list itself is) it does not. */
function isInherited(descriptor: number): boolean {
  try {
    const info = readFileSync(`${DESCRIPTORS}/${descriptor}`, 'latin1');
    const [, flags] = /^flags:\s*([0-7]+)$/m.exec(info) ?? [];
    return flags !== undefined && (Number.parseInt(flags, 8) & O_CLOEXEC) === 0;
  } catch {
    return false;
  }
}

/**
 * What a program inherits that is started now, beside standard input and output: none of Node's own descriptors, but addons open
 * others, and so may have who started this process. A program cannot tell them from its own. Linux; elsewhere none are found.
 */
export function inheritedDescriptors(): number[] {
  try {
    return readdirSync(DESCRIPTORS)
      .map(Number)
      .filter((descriptor) => descriptor > LAST_OF_STDIO && isInherited(descriptor));
  } catch {
    return [];
  }
}

/** @param descriptors as arguments of the program that has inherited them */
export function closeDescriptors(descriptors: readonly string[]): void {
  for (const descriptor of descriptors) closeSync(Number(descriptor));
}

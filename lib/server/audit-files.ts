/** The files of one audit log: `audit-<number of the first record, 12 digits>.log`, in the order of those numbers. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const NAME = /^audit-\d{12}\.log$/;

/** @returns paths, oldest first */
export function auditFiles(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => NAME.test(name))
    .sort()
    .map((name) => join(directory, name));
}

export function auditFile(directory: string, firstSeq: number): string {
  return join(directory, `audit-${String(firstSeq).padStart(12, '0')}.log`);
}

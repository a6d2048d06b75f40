/**
 * Which code a report is of: there are many between one version and the next, and an installed package knows no commit.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findBinary } from '../../engine/binary.ts';

/** SHA-256, in hex. */
export interface Code {
  /** Of all JavaScript of the package. */
  readonly javascript: string;
  /** Of the addon's binary, which is another one on each platform; null: there is none. */
  readonly addon: string | null;
}

const LIBRARY = fileURLToPath(new URL('../../', import.meta.url));
const IS_CODE = /\.[cm]?js$/;

/** @returns of every file its name in the folder, its length and its bytes, in the order of the names: the same wherever the folder is */
export function hashOf(folder: string): string {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    IS_CODE.test(name),
  );
  const hash = createHash('sha256');
  for (const name of names.map((each) => each.split(sep).join('/')).sort()) {
    const bytes = readFileSync(join(folder, name));
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex');
}

export function thisCode(): Code {
  const binary = findBinary();
  return {
    javascript: hashOf(LIBRARY),
    addon: binary === undefined ? null : createHash('sha256').update(readFileSync(binary)).digest('hex'),
  };
}

/** As much of it as tells neighbouring versions apart. */
export const shortOf = ({ javascript }: Code) => javascript.slice(0, 12);

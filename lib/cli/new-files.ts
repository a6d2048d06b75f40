/** The files that `keyless-tls init` writes. */
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFiles } from './replaced-file.ts';
import { unlessLost } from './standard-output.ts';

/** Writes files, new ones for their owner only, and tells of them. */
export class NewFiles {
  readonly #directory: string;
  readonly #output = unlessLost(process.stdout);

  constructor(directory: string) {
    this.#directory = directory;
  }

  has(name: string): boolean {
    return existsSync(join(this.#directory, name));
  }

  read(name: string): string {
    return readFileSync(join(this.#directory, name), 'utf8');
  }

  /** What is in a folder, sorted; of one that is not there, nothing. */
  names(folder: string): string[] {
    return this.has(folder) ? readdirSync(join(this.#directory, folder)).sort() : [];
  }

  /**
   * @param key whose certificate it is: a new one would take its place
   * @returns `undefined`: there is neither; an error: why that one, which a full disk may have cut short, cannot be used
   */
  certificate(name: string, key: string): X509Certificate | Error | undefined {
    if (!this.has(name)) return this.has(key) ? new Error('it is gone, and its key is there') : undefined;
    try {
      return new X509Certificate(this.read(name));
    } catch (error) {
      return error as Error;
    }
  }

  folder(name: string): void {
    mkdirSync(join(this.#directory, name), { recursive: true, mode: 0o700 });
  }

  /** Whether anybody reads it or not: what is there is there. */
  tell(path: string): void {
    this.#output.write(`${path}\n`);
  }

  /** @param texts by the names of files that belong together: in this order, all of them or (short of a failing disk) none */
  write(texts: Readonly<Record<string, string>>): void {
    const files = Object.entries(texts).map(([name, text]) => [join(this.#directory, name), text] as const);
    replaceFiles(files);
    for (const [path] of files) this.tell(path);
  }
}

/**
 * What a command prints once: whoever redirects it to a file, or to a program, is told where it is not whole. What goes on and on is
 * for LineOutput.
 */
import { fstatSync, writeFileSync } from 'node:fs';

/** @throws Error what kept it from being written, with the code of the system */
function lost(error: unknown): never {
  const { message, code } = error as NodeJS.ErrnoException;
  const text = `What was to be printed could not be written, and is not whole: ${message}`;
  throw Object.assign(new Error(text, { cause: error }), { code });
}

/** Of a stream whose writes tell what goes wrong: what it tells as an event, too, would end the process. */
const told = new WeakSet<NodeJS.WriteStream>();

function tellsByWrites(stream: NodeJS.WriteStream): void {
  if (told.has(stream)) return;
  told.add(stream);
  stream.on('error', () => undefined);
}

/**
 * Writes all of it, or says that it did not. Node.js's stream of a file takes a short write, as of a disk that is nearly full, for a
 * whole one (20 to 26): files are written here.
 *
 * @throws (rejects) Error where not all of it could be written
 */
export async function print(
  text: string,
  stream: NodeJS.WriteStream & { readonly fd: number } = process.stdout,
): Promise<void> {
  tellsByWrites(stream);
  if (fstatSync(stream.fd).isFile()) {
    try {
      return writeFileSync(stream.fd, Buffer.from(text));
    } catch (error) {
      lost(error);
    }
  }
  const error = await new Promise<Error | null | undefined>((resolve) => stream.write(text, resolve));
  if (error) lost(error);
}

/** See {@link unlessLost}. */
export interface LossyOutput {
  readonly isTTY: boolean;
  /** Of a terminal, at this moment. */
  readonly columns: number;
  write(text: string): void;
}

/**
 * Where it is told what happens meanwhile, and the work does not depend on that: a pipe that nobody reads any more, a terminal that
 * is gone and a full disk are told nothing.
 */
export function unlessLost(stream: NodeJS.WriteStream): LossyOutput {
  tellsByWrites(stream);
  const write = (text: string) => {
    try {
      stream.write(text);
    } catch {
      // As files are written to (Node.js 20 to 26).
    }
  };
  return {
    isTTY: stream.isTTY,
    get columns() {
      return stream.columns;
    },
    write,
  };
}

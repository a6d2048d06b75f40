/** What a command of the command line is. */
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** One command. */
export interface Command {
  /** The whole text of `--help`, with an example. */
  readonly usage: string;
  /** @returns the exit code; 0: well */
  run(values: readonly string[]): Promise<number>;
}

/** The command was called wrongly: exit code 2. */
export class UsageError extends Error {
  /** The command line to try. */
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

type Options = NonNullable<ParseArgsConfig['options']>;
type Parsed<T extends Options> = ReturnType<typeof parseArgs<{ options: T }>>['values'];

/** @throws UsageError for options the command does not know */
export function parseOptions<T extends Options>(
  command: string,
  values: readonly string[],
  options: T,
): Parsed<T> {
  try {
    return parseArgs({ args: [...values], options, allowPositionals: false, strict: true })
      .values as Parsed<T>;
  } catch (error) {
    throw new UsageError((error as Error).message, `keyless-tls ${command} --help`);
  }
}

const MAX_PORT = 65_535;

/** @throws UsageError for what is not `port` or `host:port`; @returns host and port, 0: any free one */
export function parseListen(command: string, text: string, host: string): { host: string; port: number } {
  const match = /^(?:(?:\[(?<six>[^\]]+)\]|(?<four>[^:]+)):)?(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.port);
  if (match === null || port > MAX_PORT) {
    throw new UsageError(
      `${JSON.stringify(text)} is not a port (0 to ${MAX_PORT}) or host:port.`,
      `keyless-tls ${command} --help`,
    );
  }
  return { host: match.groups?.six ?? match.groups?.four ?? host, port };
}

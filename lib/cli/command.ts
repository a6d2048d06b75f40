/** What a command of the command line is, and how it reads what it was given. */
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

  /** @param options `cause`: the error that led to this one */
  constructor(message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
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

/** Also words that are no options. @throws UsageError for options the command does not know */
export function parsePositionals<T extends Options>(
  command: string,
  values: readonly string[],
  options: T,
): { values: Parsed<T>; positionals: readonly string[] } {
  try {
    const parsed = parseArgs({ args: [...values], options, allowPositionals: true, strict: true });
    return { values: parsed.values as Parsed<T>, positionals: parsed.positionals };
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

const CANNOT_LISTEN: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there',
  EACCES: 'this user may not listen there; ports below 1024 need a privilege',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no host of that name',
};

/** Says what to do about a port that cannot be had; other errors stay as they are. @param option e.g. `--port` */
export function explainListening(error: unknown, where: string, option: string): unknown {
  const { code = '' } = error as NodeJS.ErrnoException;
  const reason = CANNOT_LISTEN[code];
  if (reason === undefined) return error;
  const message = `It cannot listen on ${where}: ${reason}. Give another with ${option} (port 0: any free one).`;
  return Object.assign(new Error(message, { cause: error }), { code });
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
type EndingSignal = (typeof SIGNALS)[number];

/**
 * Resolves, with its name, at the first signal that asks the process to end; a second one ends it as it would any
 * process. Waiting for it keeps no process alive.
 *
 * @param over for a process that leaves something behind: aborted when that is gone. Until then no signal ends it, however many come
 *   (a terminal that is closed sends two, a few milliseconds apart); from then on the first one does
 */
export function endingSignal(
  signals: readonly EndingSignal[] = SIGNALS,
  over?: AbortSignal,
): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const leave = () => {
      for (const name of signals) process.off(name, end);
    };
    const end = (signal: NodeJS.Signals) => {
      if (over === undefined) leave();
      resolve(signal);
    };
    for (const name of signals) process.on(name, end);
    over?.addEventListener('abort', leave, { once: true });
  });
}

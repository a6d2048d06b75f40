/** Where a benchmark ran: what its figures belong to. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release } from 'node:os';
import { type Code, thisCode } from './code.ts';

export interface Machine {
  /** Of keyless-tls. */
  readonly version: string;
  readonly code: Code;
  readonly node: string;
  /** Node's own. */
  readonly openssl: string;
  /** What the `openssl` command says of itself, which `openssl speed` is from; null: there is none. */
  readonly opensslCommand: string | null;
  readonly cpu: string;
  readonly cores: number;
  readonly platform: string;
  readonly kernel: string;
  /** Before anything was measured: processes that ran or wanted to, in the last 1, 5 and 15 minutes. */
  readonly load: readonly number[];
}

/** @returns what the `openssl` command says of itself; null: there is none */
function opensslCommand(): string | null {
  try {
    return execFileSync('openssl', ['version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return null;
  }
}

export function thisMachine(): Machine {
  const manifest = readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8');
  return {
    version: (JSON.parse(manifest) as { version: string }).version,
    code: thisCode(),
    node: process.version,
    openssl: process.versions.openssl,
    opensslCommand: opensslCommand(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    platform: `${process.platform}-${process.arch}`,
    kernel: release(),
    load: loadavg(),
  };
}

/** @returns the version of the `openssl` command, where it is not Node.js's own: what it measures is not of the code that is measured here */
export function otherOpenssl(command = opensslCommand(), own = process.versions.openssl): string | undefined {
  const version = /^\w+ (\S+)/.exec(command ?? '')?.[1];
  const [plain] = own.split('+');
  return version === plain ? undefined : version;
}

/** A load below this share of the cores is what services of a quiet machine come to. */
const QUIET = 0.5;

/** @returns `undefined`: it was quiet */
export function loadWarning({ load, cores }: Machine): string | undefined {
  const [lastMinute = 0] = load;
  if (lastMinute <= QUIET * cores) return undefined;
  return `Other programs ran when this began: the load average was ${lastMinute.toFixed(1)}, on ${cores} core${cores === 1 ? '' : 's'}.`;
}

/** `keyless-tls bench`: native against remote signing, on this machine. */
import { rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { type Case, measureHandshakes, type Result, type Settings } from './bench-handshakes.ts';
import { OTHER_CORE, pin } from './bench-method.ts';
import { page, type Report, summary, table } from './bench-report.ts';
import { type Command, parseOptions, UsageError } from './command.ts';
import { type Files, type KeyServerProcess, makeFiles, startKeyServer } from './key-server-process.ts';

const USAGE = `keyless-tls bench: what a full handshake costs, with its key native and on a key server

Usage: keyless-tls bench [options]

  --quick         below one minute; without it, about four
  --key TYPE      only rsa or p256
  --version V     only 1.2 or 1.3
  --html FILE     write a page with plots
  --json          print JSON: every round, the machine, the settings

Server, key server and clients are processes of their own on the loopback, the server alone on a core where there are two
and taskset. CPU time of the server for each handshake, five rounds in turn, medians. Do nothing else on the machine meanwhile.

Example:
  keyless-tls bench --quick --html bench.html
`;

const OPTIONS = {
  quick: { type: 'boolean', default: false },
  key: { type: 'string' },
  version: { type: 'string' },
  html: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

const HINT = 'keyless-tls bench --help';
const FULL: Settings = { rounds: 7, count: 1500, warmUpMs: 8000, concurrent: 16 };
const QUICK: Settings = { rounds: 5, count: 300, warmUpMs: 4000, concurrent: 16 };

const KEYS = { rsa: 'RSA-2048', p256: 'P-256' } as const;
const VERSIONS = { '1.3': 'TLSv1.3', '1.2': 'TLSv1.2' } as const;

function chosen<T extends string>(
  option: string,
  table: Readonly<Record<string, T>>,
  value: string | undefined,
): T[] {
  if (value === undefined) return Object.values(table);
  const found = Object.hasOwn(table, value) ? table[value] : undefined;
  if (found !== undefined) return [found];
  throw new UsageError(`--${option} is one of ${Object.keys(table).join(', ')}.`, HINT);
}

async function measureAll(cases: readonly Case[], settings: Settings, quiet: boolean): Promise<Result[]> {
  const files: Files = makeFiles();
  let keyServer: KeyServerProcess | undefined;
  try {
    keyServer = await startKeyServer(files);
    pin(keyServer.child.pid, OTHER_CORE);
    const results: Result[] = [];
    for (const each of cases) {
      if (!quiet)
        process.stderr.write(`${results.length + 1} of ${cases.length}: ${each.key}, ${each.version} …\n`);
      results.push(await measureHandshakes(files, keyServer, each, settings));
    }
    return results;
  } finally {
    keyServer?.child.kill();
    await keyServer?.ended;
    rmSync(files.folder, { recursive: true, force: true });
  }
}

function reportOf(handshakes: readonly Result[], settings: Settings): Report {
  return {
    time: new Date().toISOString(),
    machine: {
      node: process.version,
      openssl: process.versions.openssl ?? 'unknown',
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      platform: `${process.platform}-${process.arch}`,
    },
    settings: { ...settings },
    handshakes,
  };
}

function warnings(results: readonly Result[]): string[] {
  const found: string[] = [];
  if (results.some(({ pinned }) => !pinned))
    found.push('The server had no core for itself: the figures are noisy.');
  if (results.some(({ operationsPerHandshake }) => Math.abs(operationsPerHandshake - 1) > 0.01)) {
    found.push(
      'Not every remote handshake had one operation: the comparison is not between full handshakes.',
    );
  }
  return found;
}

async function run(args: readonly string[]): Promise<number> {
  const values = parseOptions('bench', args, OPTIONS);
  const keys = chosen('key', KEYS, values.key);
  const versions = chosen('version', VERSIONS, values.version);
  const cases = versions.flatMap((version) => keys.map((key) => ({ key, version })));
  const settings = values.quick ? QUICK : FULL;
  const results = await measureAll(cases, settings, values.json);
  const report = reportOf(results, settings);
  if (values.html !== undefined) writeFileSync(values.html, page(report));
  if (values.json) process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
  else process.stdout.write(`${table(report)}\n${[...summary(report), ...warnings(results)].join('\n')}\n`);
  return 0;
}

/** See {@link USAGE}. */
export const bench: Command = { usage: USAGE, run };

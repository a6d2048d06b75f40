/** `keyless-tls check`: can this edge have handshakes signed, and if not, why not? */
import { X509Certificate } from 'node:crypto';
import { connectKeyServers, type KeyServers } from '../keys/key-servers.ts';
import { checkClock, checkDates, checkUsage } from './check-parts.ts';
import { explain } from './check-refusal.ts';
import { checkSignature } from './check-signature.ts';
import { type Sites, sitesFrom } from './check-sites.ts';
import { watch } from './check-watch.ts';
import { type Command, parseOptions, UsageError } from './command.ts';
import { certificateOption, checkPair, privateKeyOption } from './pem-option.ts';
import { print } from './standard-output.ts';

const USAGE = `keyless-tls check: tries an edge's way to its key servers

Usage: keyless-tls check --cert FILE --key FILE --ca FILE --server HOST:PORT [options]

  --cert FILE         the edge's certificate for mutual TLS, PEM
  --key FILE          its private key, PEM
  --ca FILE           the authority of the key servers, PEM
  --server HOST:PORT  a key server, any number
  --site FILE         a site's certificate, PEM, any number, or a directory with *.crt and *.pem files: each one's key signs
                      test handshakes on each server (authorities of others in the directory are no sites)
  --servername NAME   the name in the key servers' certificates, if it is not HOST
  --timeout MS        for each step, 100 to 60,000; default 5,000
  --watch             afterwards, once a second until it is ended: each server's state, breaker and latency, and the age of
                      the lease of ticket keys; the key of each --site signs each time
  --json              one JSON object a line

Looks at the certificate's dates by this machine's clock and at its purpose, connects to each server, compares its clock, and has
it sign a handshake of TLS 1.3 and one of TLS 1.2 with the key of each site, which are verified: one is enough (an SSH agent's RSA
keys have TLS 1.2 only), and it says which. A key server lists no keys: what is not named by --site is
not tried. Exit code 0: all is well; 1: something is not.

Example:
  keyless-tls check --cert edge.crt --key edge.key --ca ca.crt --server keys-1.internal:2407 --site www.crt
`;

const OPTIONS = {
  cert: { type: 'string' },
  key: { type: 'string' },
  ca: { type: 'string' },
  server: { type: 'string', multiple: true },
  site: { type: 'string', multiple: true },
  servername: { type: 'string' },
  timeout: { type: 'string', default: '5000' },
  watch: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

const HINT = 'keyless-tls check --help';

interface Finding {
  readonly what: string;
  readonly ok: boolean;
  /** Why not, and what to do; or what was found. */
  readonly detail: string;
  readonly code?: string | undefined;
}

type Tell = (finding: Finding) => Promise<void>;

async function find(what: string, work: () => string | Promise<string>): Promise<Finding> {
  try {
    return { what, ok: true, detail: await work() };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { what, ok: false, detail: message, code };
  }
}

/** Runs one step and tells how it went. @returns whether it went well */
async function step(tell: Tell, what: string, work: () => string | Promise<string>): Promise<boolean> {
  const finding = await find(what, work);
  await tell(finding);
  return finding.ok;
}

interface Plan extends Sites {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
  readonly servers: readonly string[];
  readonly servername: string | undefined;
  readonly timeoutMs: number;
}

function planOf(values: ReturnType<typeof parseOptions<typeof OPTIONS>>): Plan {
  const servers = values.server ?? [];
  if (servers.length === 0) throw new UsageError('--server is missing.', HINT);
  const timeoutMs = Number(values.timeout);
  if (!Number.isInteger(timeoutMs) || timeoutMs < 100 || timeoutMs > 60_000) {
    throw new UsageError('--timeout is a whole number of milliseconds from 100 to 60,000.', HINT);
  }
  const cert = certificateOption('check', values, 'cert');
  const key = privateKeyOption('check', values, 'key');
  checkPair('check', cert, key);
  return {
    cert,
    key,
    ca: certificateOption('check', values, 'ca'),
    servers,
    ...sitesFrom(values.site ?? []),
    servername: values.servername,
    timeoutMs,
  };
}

async function checkSites(tell: Tell, plan: Plan, server: string, keys: KeyServers): Promise<boolean> {
  const { sites, timeoutMs } = plan;
  const connected = await step(tell, `${server} answers`, async () => {
    const since = performance.now();
    await keys.ready().catch((error: NodeJS.ErrnoException) => {
      throw Object.assign(new Error(explain(error, plan)), { code: error.code });
    });
    return `connected in ${(performance.now() - since).toFixed(0)} ms`;
  });
  if (!connected) return false;
  const skewMs = keys.stats().servers[0]?.clockSkewMs;
  let well = await step(tell, `${server}: its clock`, () => checkClock(skewMs));
  for (const [path, site] of sites) {
    const signed = await step(tell, `${server} signs for ${path}`, () =>
      checkSignature(keys, site, timeoutMs),
    );
    well &&= signed;
  }
  return well;
}

async function checkServer(tell: Tell, plan: Plan, server: string): Promise<boolean> {
  const { cert, key, ca, servername, timeoutMs } = plan;
  const times = { timeoutMs, connectTimeoutMs: timeoutMs };
  const keys = connectKeyServers({ servers: [server], cert, key, ca, servername, ...times });
  try {
    return await checkSites(tell, plan, server, keys);
  } finally {
    keys.close();
  }
}

async function watchAll(plan: Plan, json: boolean): Promise<void> {
  const { cert, key, ca, servername, timeoutMs, sites, servers } = plan;
  const keys = connectKeyServers({ servers, cert, key, ca, servername, timeoutMs });
  try {
    await watch({ keys, sites, timeoutMs }, json);
  } finally {
    keys.close();
  }
}

/** What is in the directories of `--site` and is not tried. @returns whether all of it could be looked at */
async function tellUntried(tell: Tell, { unread, authorities }: Plan): Promise<boolean> {
  for (const [path, signed] of authorities)
    await step(tell, path, () => `the authority of ${signed}, and no site`);
  for (const [path, { message }] of unread) {
    await step(tell, path, () => {
      throw new Error(`${message.replace(/\.$/, '')}. If it is a site's certificate, its key was not tried.`);
    });
  }
  return unread.size === 0;
}

function teller(json: boolean): Tell {
  if (json) return (finding) => print(`${JSON.stringify(finding)}\n`);
  return ({ what, ok, detail }) => print(`${ok ? 'ok  ' : 'FAIL'}  ${what}: ${detail}\n`);
}

async function run(args: readonly string[]): Promise<number> {
  const values = parseOptions('check', args, OPTIONS);
  const plan = planOf(values);
  const tell = teller(values.json);
  const edge = new X509Certificate(plan.cert);
  const results = [
    await step(tell, "the edge's certificate is valid now", () => checkDates(edge, Date.now())),
    await step(tell, "the edge's certificate is for clients", () => checkUsage(edge)),
    await step(tell, 'the authority is valid now', () =>
      checkDates(new X509Certificate(plan.ca), Date.now()),
    ),
  ];
  results.push(await tellUntried(tell, plan));
  for (const server of plan.servers) results.push(await checkServer(tell, plan, server));
  if (values.watch) await watchAll(plan, values.json);
  return results.every(Boolean) ? 0 : 1;
}

/** See {@link USAGE}. */
export const check: Command = { usage: USAGE, run };

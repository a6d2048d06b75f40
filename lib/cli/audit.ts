/** `keyless-tls audit verify`: is the audit log what the key server wrote? */
import { KeylessError } from '../errors.ts';
import { type AuditVerdict, verifyAudit } from '../server/audit-verify.ts';
import { type Command, parsePositionals, UsageError } from './command.ts';
import { print } from './standard-output.ts';

const USAGE = `keyless-tls audit: looks at the audit log of a key server

Usage: keyless-tls audit verify DIRECTORY [options]

  --head DIGEST   also fail unless the log ends with this digest, or has it on its way (noted earlier: "audit-head")
  --json          print JSON

Follows the chain of digests through all files and names the first record that is not what was written. Exit code 0: the
chain is whole; 1: it is not, or there is no log.

Example:
  keyless-tls audit verify /var/lib/keyless-tls/audit
`;

const OPTIONS = {
  head: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

function describe(verdict: AuditVerdict): string {
  const { records, firstSeq, lastSeq, head, refusedMore, connectedMore, tornBytes, tornBefore, bad } =
    verdict;
  if (bad !== undefined)
    return `Bad: ${bad.file}, line ${bad.line}: ${bad.reason}.\n${records} records before it are whole.\n`;
  const range = records === 0 ? '' : ` (${firstSeq} to ${lastSeq})`;
  const summed = (count: number, what: string) =>
    count === 0 ? '' : `${count} more connections were ${what}, of which it has sums only.\n`;
  const more = summed(refusedMore, 'refused') + summed(connectedMore, 'taken');
  const torn =
    tornBytes === 0
      ? ''
      : `After them, ${tornBytes} bytes of a line that is not whole: it is being written, or a crash cut it off, and nobody was answered.\n`;
  const before =
    tornBefore === 0 ? '' : `${tornBefore} such lines were taken away at a start, as the log says.\n`;
  return `Whole: ${records} records${range}, head ${head}.\n${more}${torn}${before}`;
}

/** Why a whole log has not got a digest that was noted. */
function whyNot({ firstSeq }: AuditVerdict): string {
  const cutOff = 'records were cut off after it was noted';
  if (firstSeq <= 1) return cutOff;
  return `it is of one of the first ${firstSeq - 1} records, whose files were taken away, or ${cutOff}`;
}

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parsePositionals('audit', args, OPTIONS);
  const [verb, directory, ...rest] = positionals;
  if (verb !== 'verify' || directory === undefined || rest.length > 0) {
    throw new UsageError('It needs "verify" and the directory of the log.', 'keyless-tls audit --help');
  }
  const { head, json } = values;
  if (head !== undefined && !/^[0-9a-f]{64}$/.test(head)) {
    throw new UsageError('--head is not a digest: 64 hexadecimal digits.', 'keyless-tls audit --help');
  }
  const verdict = await verifyAudit(directory, head);
  await print(json ? `${JSON.stringify(verdict)}\n` : describe(verdict));
  if (verdict.bad === undefined && head !== undefined && !verdict.hasHead) {
    throw new KeylessError(
      'ERR_KEYLESS_AUDIT',
      `The digest of --head is not in the log: ${whyNot(verdict)}.`,
    );
  }
  return verdict.bad === undefined ? 0 : 1;
}

/** See {@link USAGE}. */
export const audit: Command = { usage: USAGE, run };

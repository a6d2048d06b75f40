/** `keyless-tls serve --ticket-secret`: the secret from which session-ticket keys are derived. */
import { readGuarded } from '../server/guarded-file.ts';
import { MIN_TICKET_SECRET_BYTES, type TicketKeyOptions, TicketKeys } from '../server/ticket-keys.ts';
import { UsageError } from './command.ts';
import type { Print } from './event-lines.ts';

const HINT = 'keyless-tls serve --help';
const MAX_SECRET_BYTES = 4096;

/** The file's bytes as they are, but for line ends after them, which editors add. */
function readSecret(path: string): Buffer {
  try {
    const bytes = readGuarded(path, MAX_SECRET_BYTES);
    let end = bytes.length;
    while (end > 0 && (bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end -= 1;
    if (end < MIN_TICKET_SECRET_BYTES)
      throw new Error(`it has ${end} bytes, a secret has at least ${MIN_TICKET_SECRET_BYTES}`);
    return bytes.subarray(0, end);
  } catch (error) {
    throw new UsageError(`The file of --ticket-secret: ${(error as Error).message}`, HINT);
  }
}

/**
 * @param path `undefined`: no edge gets ticket keys
 * @param period seconds, as text
 * @param policy the file of --policy: without one there are no groups
 * @throws UsageError if the file is not for its owner only, or too short
 */
export function ticketOptions(
  path: string | undefined,
  period: string,
  policy: string | undefined,
  print: Print,
): TicketKeyOptions | undefined {
  if (path === undefined) return undefined;
  const options = { secret: readSecret(path), periodMs: Number(period) * 1000 };
  try {
    const { id, periodMs } = new TicketKeys(options);
    print('ticket-keys', { id, period: periodMs / 1000 });
  } catch (error) {
    throw new UsageError(`--ticket-period: ${(error as Error).message}`, HINT);
  }
  if (policy !== undefined) return options;
  throw new UsageError(
    '--ticket-secret needs --policy: it says which client gets the keys of which group.',
    HINT,
  );
}

/**
 * The blocks of a PEM file that may have several (RFC 7468). One that is cut short or damaged would be left out in silence, by Node.js and
 * OpenSSL as well, and an authority or a revocation list with it: such a file, half of a copy perhaps, is not used at all.
 */
import { KeylessError } from '../errors.ts';

/** As OpenSSL knows them: by lines of their own, behind which may be spaces, and before the first a byte order mark. */
const BLOCK = /^\uFEFF?-----BEGIN ([A-Z0-9 ]+)-----[ \t]*\r?\n([\s\S]*?)^-----END \1-----[ \t]*\r?$/gm;
/** Of a block, where no block is: also where it is indented, which OpenSSL leaves out in silence, or where the file ends in its first line. */
const REMNANT = /-----(BEGIN|END)|(?:^|\n)-[-A-Z0-9 ]*$/;
const BASE64 = /^[A-Za-z0-9+/\s]+=?\s?=?\s*$/;

export interface PemBlock {
  readonly label: string;
  readonly whole: string;
  readonly der: Buffer;
}

function broken(what: string): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `${what} has a block in PEM that is not whole: cut short, or damaged.`,
  );
}

/**
 * @param what the text is of, for the error
 * @param labels of the blocks that are wanted; between them there may be any text, and others
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if any block is not whole
 */
export function pemBlocks(text: string, labels: readonly string[], what: string): readonly PemBlock[] {
  if (REMNANT.test(text.replace(BLOCK, ''))) throw broken(what);
  const blocks: PemBlock[] = [];
  for (const [whole, label = '', content = ''] of text.matchAll(BLOCK)) {
    if (!labels.includes(label)) continue;
    if (!BASE64.test(content)) throw broken(what);
    blocks.push({ label, whole, der: Buffer.from(content, 'base64') });
  }
  return blocks;
}

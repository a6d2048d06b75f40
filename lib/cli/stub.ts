/** `keyless-tls stub`: a file that stands where a private key is expected. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { makeStub, readStub } from '../wrap/stub.ts';
import { type Command, parsePositionals, UsageError } from './command.ts';
import { print } from './standard-output.ts';

const USAGE = `keyless-tls stub: writes what stands in a key file where the key is on a key server

Usage: keyless-tls stub CERTIFICATE [options] > FILE

  --json   print { keyId, stub } as JSON

CERTIFICATE is the site's certificate, PEM. The stub holds its public key and nothing secret. An app that reads it as its key
works when it runs with "keyless-tls run" (or node --import keyless-tls/register).

Example:
  keyless-tls stub www.crt > www.key
`;

const OPTIONS = { json: { type: 'boolean', default: false } } as const;

const HINT = 'keyless-tls stub --help';

function certificateIn(path: string): X509Certificate {
  try {
    return new X509Certificate(readFileSync(path));
  } catch (error) {
    throw new UsageError(
      `${JSON.stringify(path)} holds no certificate in PEM: ${(error as Error).message}`,
      HINT,
    );
  }
}

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parsePositionals('stub', args, OPTIONS);
  const [path, ...rest] = positionals;
  if (path === undefined || rest.length > 0) throw new UsageError('It needs one certificate.', HINT);
  const text = makeStub(certificateIn(path));
  const keyId = readStub(text)?.keyId;
  await print(values.json ? `${JSON.stringify({ keyId, stub: text })}\n` : text);
  return 0;
}

/** See {@link USAGE}. */
export const stub: Command = { usage: USAGE, run };

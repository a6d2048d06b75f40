/** Version × key × client certificate × server name: the same story with the keys elsewhere. */

import { before } from 'node:test';
import type { SecureVersion } from 'node:tls';
import {
  type Authority,
  type Issued,
  KEY_KINDS,
  type KeyKind,
  makeAuthority,
} from '../helpers/certificates.ts';
import { close, converse, listen } from '../helpers/connections.ts';
import { parity, type Side } from '../helpers/parity.ts';

let authority: Authority;
const issued = new Map<KeyKind, Issued>();

before(async () => {
  authority = await makeAuthority();
  for (const type of KEY_KINDS)
    issued.set(type, await authority.issue({ type, dns: ['localhost', 'other.test'] }));
});

interface Row {
  readonly version: SecureVersion;
  readonly server: KeyKind;
  readonly client?: KeyKind;
  readonly ciphers?: string;
}

async function scenario(
  side: Side,
  { version, server: kind, client: clientKind, ciphers }: Row,
): Promise<unknown> {
  const own = issued.get(kind) as Issued;
  const theirs = clientKind && issued.get(clientKind);
  const common = {
    ca: authority.certPem,
    minVersion: version,
    maxVersion: version,
    ...(ciphers ? { ciphers } : {}),
  };
  const server = side.tls.createServer({
    ...common,
    cert: own.certPem,
    key: side.key(own),
    requestCert: theirs !== undefined,
    rejectUnauthorized: theirs !== undefined,
  });
  const port = await listen(server);
  const identity = theirs ? { cert: theirs.certPem, key: side.key(theirs) } : {};
  const transcript = await converse(side, server, port, { client: { ...common, ...identity } });
  await close(server);
  return transcript;
}

function row(fields: Row, operations: number): void {
  const parts = [fields.version, fields.server, fields.ciphers, fields.client && `client ${fields.client}`];
  parity(parts.filter(Boolean).join(', '), (side) => scenario(side, fields), operations);
}

for (const server of KEY_KINDS) {
  row({ version: 'TLSv1.3', server }, 1);
  row({ version: 'TLSv1.2', server }, 1);
  row({ version: 'TLSv1.3', server: 'p256', client: server }, 2);
  row({ version: 'TLSv1.2', server: 'rsa', client: server }, 2);
}
for (const ciphers of ['AES128-GCM-SHA256', 'AES256-SHA', 'AES128-SHA256']) {
  row({ version: 'TLSv1.2', server: 'rsa', ciphers }, 1);
}
row({ version: 'TLSv1.2', server: 'rsa', client: 'rsa', ciphers: 'AES128-GCM-SHA256' }, 2);
row({ version: 'TLSv1.2', server: 'rsa', ciphers: 'DHE-RSA-AES128-GCM-SHA256' }, 0);
for (const version of ['TLSv1', 'TLSv1.1'] as const) {
  row({ version, server: 'rsa', ciphers: 'ECDHE-RSA-AES128-SHA@SECLEVEL=0' }, 1);
  row({ version, server: 'rsa', ciphers: 'AES128-SHA@SECLEVEL=0' }, 1);
  row({ version, server: 'p256', ciphers: 'ECDHE-ECDSA-AES128-SHA@SECLEVEL=0' }, 1);
  row({ version, server: 'rsa', client: 'rsa', ciphers: 'AES128-SHA@SECLEVEL=0' }, 2);
}

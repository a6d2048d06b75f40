/** What a Handshake may be made of: everything else is an error with a code, and leaves nothing behind. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { before, it } from 'node:test';
import tls from 'node:tls';
import { engineStats, Handshake, type HandshakeOptions, type KeylessErrorCode } from '../../../lib/index.ts';
import { type Issued, makeAuthority } from '../../helpers/certificates.ts';
import { close, listen } from '../../helpers/connections.ts';
import { Pair } from '../../helpers/endpoints.ts';
import { run } from '../../helpers/programs.ts';

let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'p256' });
});

/** What TypeScript would not let through. */
const make = (options: unknown) => new Handshake(options as HandshakeOptions);

function refuses(options: unknown, code: KeylessErrorCode): void {
  assert.throws(() => make(options), { name: 'KeylessError', code }, JSON.stringify(options));
  assert.equal(engineStats().handshakes, 0);
}

it('a role is needed', () => {
  for (const options of [undefined, null, {}, { role: 'both' }, 'server']) {
    refuses(options, 'ERR_KEYLESS_INVALID_ARGUMENT');
  }
});

// A `ca` that is not understood must never count as none: the peer would not be verified.
it('texts are strings with something in them', () => {
  for (const name of ['ca', 'servername', 'ciphers', 'sigalgs', 'ecdhCurve'] as const) {
    for (const value of ['', 'a\0b', 5, null, [], Buffer.from(issued.certPem)]) {
      refuses({ role: 'client', [name]: value }, 'ERR_KEYLESS_INVALID_ARGUMENT');
    }
  }
});

it('certificates are PEM', () => {
  for (const cert of [5, null, {}, '', [5], [issued.certPem, ''], Buffer.from(issued.certPem)]) {
    refuses({ role: 'server', cert, key: {} }, 'ERR_KEYLESS_INVALID_ARGUMENT');
  }
  for (const cert of ['no certificate', [issued.certPem, 'no certificate'], issued.keyPem]) {
    refuses({ role: 'server', cert, key: {} }, 'ERR_KEYLESS_HANDSHAKE');
  }
});

const block = (body: string) => `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;

it('certificates are whole, and a `ca` has some, whatever stands between them', () => {
  const { certPem } = issued;
  for (const broken of [block('MIID@@@@'), block('AAAA'), certPem.slice(0, certPem.length / 2)]) {
    refuses({ role: 'server', cert: certPem + broken, key: {} }, 'ERR_KEYLESS_HANDSHAKE');
    refuses({ role: 'client', ca: certPem + broken }, 'ERR_KEYLESS_HANDSHAKE');
  }
  // OpenSSL passes over these.
  const damaged = certPem.replace('-----BEGIN', '----BEGIN');
  for (const passedOver of [damaged, certPem.replaceAll('CERT', 'TRUSTED CERT'), ` ${certPem}`]) {
    refuses({ role: 'server', cert: certPem + passedOver, key: {} }, 'ERR_KEYLESS_INVALID_ARGUMENT');
    refuses({ role: 'client', ca: certPem + passedOver }, 'ERR_KEYLESS_INVALID_ARGUMENT');
  }
  refuses({ role: 'client', ca: 'no certificate' }, 'ERR_KEYLESS_HANDSHAKE');
  const text = `# first\n${certPem}\n# second\n${certPem}# end`;
  make({ role: 'client', ca: text }).close();
  make({ role: 'server', cert: text, key: {} }).close();
  const windows = certPem.replaceAll('\n', ' \r\n').replaceAll(' CERT', ' X509 CERT');
  make({ role: 'server', cert: certPem + issued.keyPem + windows, key: {} }).close();
});

const TRY_ALL = `
  import { Handshake } from ${JSON.stringify(new URL('../../../lib/index.js', import.meta.url).href)};
  for (const options of JSON.parse(process.env.OPTIONS)) {
    try {
      new Handshake(options);
    } catch ({ code }) {
      console.log(code);
    }
  }
`;

// OpenSSL by itself asks for the passphrase of what it is told is encrypted: at the terminal, or as here, where there is none, elsewhere.
it('what says that it is encrypted is refused, and nobody is asked for a passphrase', async () => {
  const header = 'Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF';
  const broken = issued.certPem + block(`${header}\n\nAAAA`);
  const all = [
    { role: 'server', cert: broken, key: {} },
    { role: 'client', ca: broken },
  ];
  const env = { ...process.env, OPTIONS: JSON.stringify(all) };
  const values = ['--input-type=module', '--eval', TRY_ALL];
  const { stdout, stderr } = await run(process.execPath, values, { env, detached: true });
  assert.equal(stdout, 'ERR_KEYLESS_HANDSHAKE\nERR_KEYLESS_HANDSHAKE\n');
  assert.doesNotMatch(stderr, /pass ?phrase/i);
});

it('versions, protocols and the request for a certificate have their types', () => {
  const bad = [
    { minVersion: 'TLSv9' },
    { maxVersion: null },
    { maxVersion: 'toString' },
    { ALPNProtocols: 'h2' },
    { ALPNProtocols: [5] },
    { ALPNProtocols: [''] },
    { ALPNProtocols: ['x'.repeat(256)] },
    { requestCert: 1 },
    { requestCert: 'true' },
  ];
  for (const options of bad) refuses({ role: 'server', ...options }, 'ERR_KEYLESS_INVALID_ARGUMENT');
});

// To OpenSSL it is every name below: whoever has a certificate there would be taken for it.
it('a name to check begins with no dot', () => {
  for (const servername of ['.', '.test', '.localhost.'])
    refuses({ role: 'client', ca: issued.certPem, servername }, 'ERR_KEYLESS_INVALID_ARGUMENT');
});

it('what OpenSSL does not know, it says', () => {
  const bad = [
    { ciphers: 'nothing' },
    { sigalgs: 'nothing' },
    { ecdhCurve: 'nothing' },
    { servername: 'x'.repeat(256) },
  ];
  for (const options of bad) refuses({ role: 'client', ...options }, 'ERR_KEYLESS_HANDSHAKE');
});

it('a key has its certificate, and options in their range', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const of = (key: unknown) => ({ role: 'server', cert: issued.certPem, key });
  refuses({ role: 'server', key: {} }, 'ERR_KEYLESS_NO_CERTIFICATE');
  refuses({ role: 'server', cert: [], key: {} }, 'ERR_KEYLESS_NO_CERTIFICATE');
  for (const role of ['server', 'client'])
    refuses({ role, cert: issued.certPem }, 'ERR_KEYLESS_INVALID_ARGUMENT');
  for (const key of [null, 5, issued.keyPem]) refuses(of(key), 'ERR_KEYLESS_INVALID_ARGUMENT');
  for (const key of [{ schemes: [] }, { schemes: ['md5'] }, { timeoutMs: 0 }, { verify: 'sometimes' }]) {
    refuses(of(key), 'ERR_KEYLESS_INVALID_ARGUMENT');
  }
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  refuses(of({ publicKey: spki }), 'ERR_KEYLESS_KEY_MISMATCH');
});

it('a client needs nothing, and versions that exclude each other fail in the handshake', () => {
  const client = make({ role: 'client' });
  assert.equal(client.state, 'WANT_WRITE');
  client.close();
  const impossible = make({ role: 'client', minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' });
  assert.deepEqual([impossible.state, impossible.error?.code], ['FAILED', 'ERR_KEYLESS_HANDSHAKE']);
  impossible.close();
});

/** The protocol and cipher that a client of all of them agrees on, with node:tls and with a Handshake. */
for (const [what, options] of Object.entries({
  'suites of TLS 1.3 and ciphers before': {
    ciphers: 'TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256',
  },
  'suites of TLS 1.3 only': { ciphers: 'TLS_AES_128_GCM_SHA256' },
  'no suite of TLS 1.3': { ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256' },
  'no suite of the only version': { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256', minVersion: 'TLSv1.3' },
  'suites of another than the only version': { ciphers: 'TLS_AES_128_GCM_SHA256', maxVersion: 'TLSv1.2' },
  'empty places': { ciphers: ':TLS_AES_256_GCM_SHA384::ECDHE-ECDSA-AES128-GCM-SHA256:' },
  'any curve': { ecdhCurve: 'auto' },
} satisfies Record<string, Partial<HandshakeOptions>>)) {
  it(`ciphers and curves mean what they do for node:tls: ${what}`, async () => {
    assert.deepEqual(agreed(options), await agreedNatively(options));
  });
}

it('a list of ciphers has one', () => {
  for (const ciphers of [':', '::']) {
    refuses({ role: 'client', ciphers }, 'ERR_KEYLESS_INVALID_ARGUMENT');
    assert.throws(() => tls.createSecureContext({ ciphers }), { code: 'ERR_INVALID_ARG_VALUE' });
  }
});

it('a suite of TLS 1.3 cannot be taken out of a list: as natively, no such list is taken', () => {
  for (const ciphers of ['!TLS_AES_128_GCM_SHA256:AES128-SHA', 'AES128-SHA:!TLS_AES_128_GCM_SHA256']) {
    assert.throws(() => make({ role: 'client', ciphers }), /no cipher match/);
    assert.throws(() => tls.createSecureContext({ ciphers }), { reason: 'no cipher match' });
  }
});

type Agreed = readonly [protocol: string, cipher: string | undefined] | 'nothing';

function agreed(options: Partial<HandshakeOptions>): Agreed {
  const both = new Pair({ cert: issued.certPem, key: {}, ...options }, {});
  both.finish({ server: issued.keyPem });
  const { state, info } = both.client;
  both.close();
  return state === 'DONE' ? [info.protocol, info.cipher] : 'nothing';
}

async function agreedNatively(options: Partial<HandshakeOptions>): Promise<Agreed> {
  const server = tls.createServer({ cert: issued.certPem, key: issued.keyPem, ...options } as tls.TlsOptions);
  server.on('tlsClientError', () => undefined);
  const client = tls.connect({ port: await listen(server), host: '127.0.0.1', rejectUnauthorized: false });
  const isSecure = await new Promise<boolean>((resolve) => {
    client.on('secureConnect', () => resolve(true)).on('error', () => resolve(false));
  });
  const told: Agreed = isSecure ? [client.getProtocol()!, client.getCipher().name] : 'nothing';
  client.destroy();
  await close(server);
  return told;
}

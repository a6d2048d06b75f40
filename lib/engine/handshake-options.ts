/** The options of a Handshake, checked here: the addon aborts the process, or looks away, where a type is not its own. */
import { isIP } from 'node:net';
import { isUint8Array } from 'node:util/types';
import { KeylessError } from '../errors.ts';
import type { PrivateKey } from '../keys/private-key.ts';
import type { RawEndpointOptions } from './addon.ts';

/** The TLS versions OpenSSL knows, as node:tls names them. */
export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

/** Options of a Handshake; the names are node:tls's. */
export interface HandshakeOptions {
  readonly role: 'server' | 'client';
  /** PEM chains, leaf first: one for each key. */
  readonly cert?: string | readonly string[] | undefined;
  /**
   * What the key can do (`schemes`, `publicKey`, `verify`). It is not called: the operation is read from
   * {@link Handshake.operation} and answered with {@link Handshake.supply}.
   */
  readonly key?: Partial<PrivateKey> | undefined;
  /** PEM; without it the peer's certificate is not verified. */
  readonly ca?: string | undefined;
  /** Clients: checked against the certificate where there is `ca`, and sent, without a last dot, if it is no IP address (RFC 6066 §3). */
  readonly servername?: string | undefined;
  readonly ALPNProtocols?: readonly string[] | undefined;
  readonly ciphers?: string | undefined;
  readonly sigalgs?: string | undefined;
  readonly ecdhCurve?: string | undefined;
  readonly minVersion?: TlsVersion | undefined;
  readonly maxVersion?: TlsVersion | undefined;
  /** Servers: ask the client for a certificate and require it. */
  readonly requestCert?: boolean | undefined;
}

const VERSION_CODES: Readonly<Record<TlsVersion, number>> = {
  TLSv1: 0x0301,
  'TLSv1.1': 0x0302,
  'TLSv1.2': 0x0303,
  'TLSv1.3': 0x0304,
};

const MAX_ALPN_NAME_BYTES = 255;

function invalid(what: string): KeylessError {
  return new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', what);
}

/** A NUL would end the text for OpenSSL, and an empty one would count as none: a `ca` must not vanish like that. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !value.includes('\0');
}

function text(options: HandshakeOptions, name: keyof HandshakeOptions): string | undefined {
  const value: unknown = options[name];
  if (value === undefined || isText(value)) return value;
  throw invalid(`"${name}" must be a string that is not empty and has no NUL character.`);
}

function chains({ cert = [], key }: HandshakeOptions): readonly string[] {
  const list: unknown = typeof cert === 'string' ? [cert] : cert;
  if (!Array.isArray(list) || !list.every(isText)) {
    throw invalid('"cert" must be a certificate chain (PEM) or an array of them.');
  }
  if (key !== undefined && (typeof key !== 'object' || key === null)) {
    throw invalid('"key" must be an object that says what the key can do.');
  }
  if ((key === undefined) === (list.length === 0)) return list;
  if (key === undefined) {
    throw invalid('"cert" needs "key": an object, perhaps empty, that says what its key can do.');
  }
  throw new KeylessError('ERR_KEYLESS_NO_CERTIFICATE', '"key" needs its certificate (PEM) in "cert".');
}

/** Certificates, as OpenSSL knows them: by lines of their own, behind which may be spaces. */
const CERTIFICATE =
  /^-----BEGIN ((?:X509 )?CERTIFICATE)-----[ \t]*\r?\n[\s\S]*?^-----END \1-----[ \t]*\r?$/gm;
/** The first or last line of one, where none is. */
const REMNANT = /-(BEGIN|END) [A-Z0-9 ]*CERTIFICATE-/;

/**
 * Of what OpenSSL has taken: it passes over one whose first line is damaged, and over a TRUSTED CERTIFICATE, in silence.
 *
 * @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT
 */
export function checkCertificates({ certificateChains, ca }: RawEndpointOptions): void {
  for (const [name, pem = ''] of [...certificateChains.map((chain) => ['cert', chain]), ['ca', ca]]) {
    if (REMNANT.test(pem.replace(CERTIFICATE, '')))
      throw invalid(
        `"${name}" has a certificate that OpenSSL would leave out: the lines around it must be ` +
          '-----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----.',
      );
  }
}

/** ProtocolNameList of RFC 7301 §3.1, without its length. */
function encodeAlpn(protocols: unknown = []): Buffer {
  const known = Array.isArray(protocols) && protocols.every((name) => typeof name === 'string');
  if (!known) throw invalid('"ALPNProtocols" must be an array of strings.');
  const names = (protocols as string[]).map((protocol) => Buffer.from(protocol));
  if (names.some(({ length }) => length < 1 || length > MAX_ALPN_NAME_BYTES)) {
    throw invalid('Each of "ALPNProtocols" must have 1 to 255 bytes.');
  }
  return Buffer.concat(names.flatMap((name) => [Buffer.of(name.length), name]));
}

function versionCode(version: TlsVersion | undefined): number | undefined {
  if (version === undefined) return undefined;
  if (Object.hasOwn(VERSION_CODES, version)) return VERSION_CODES[version];
  throw invalid(`"${String(version)}" is not a TLS version.`);
}

/**
 * As node:tls takes a list of both kinds (lib/internal/tls/secure-context.js): with suites of TLS 1.3 only, older versions are off;
 * without any, TLS 1.3 has OpenSSL's.
 */
function cipherOptions(
  options: HandshakeOptions,
): Pick<RawEndpointOptions, 'ciphers' | 'cipherSuites' | 'minVersion' | 'maxVersion'> {
  const [minVersion, maxVersion] = [versionCode(options.minVersion), versionCode(options.maxVersion)];
  const list = text(options, 'ciphers')?.split(':');
  if (list === undefined) return { ciphers: undefined, cipherSuites: undefined, minVersion, maxVersion };
  const isSuite = (name: string) => /^!?TLS_/.test(name);
  const ciphers = list.filter((name) => name !== '' && !isSuite(name)).join(':');
  const cipherSuites = list.filter(isSuite).join(':');
  if (ciphers === '' && cipherSuites === '') throw invalid('"ciphers" has none.');
  const latest = VERSION_CODES['TLSv1.3'];
  const isOff = ciphers === '' && (maxVersion ?? latest) >= latest;
  return {
    ciphers,
    cipherSuites: cipherSuites === '' ? undefined : cipherSuites,
    minVersion: isOff ? latest : minVersion,
    maxVersion,
  };
}

/** OpenSSL takes a first dot for all names below, and a last one for a part of the name (RFC 6066 §3: it is none). */
function hostName(options: HandshakeOptions): string | undefined {
  const name = text(options, 'servername');
  if (name?.startsWith('.')) throw invalid('"servername" must be a host name, which begins with no dot.');
  return name?.replace(/\.$/, '');
}

function nameOptions(options: HandshakeOptions): Pick<RawEndpointOptions, 'servername' | 'certificateName'> {
  const certificateName = hostName(options);
  const isSent = certificateName !== undefined && isIP(certificateName) === 0;
  return { servername: isSent ? certificateName : undefined, certificateName };
}

function requests(requestCert: unknown): boolean {
  if (requestCert === undefined || typeof requestCert === 'boolean') return requestCert === true;
  throw invalid('"requestCert" must be true or false.');
}

/**
 * What the addon makes an endpoint of.
 *
 * @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT, ERR_KEYLESS_NO_CERTIFICATE
 */
export function endpointOptions(options: HandshakeOptions): RawEndpointOptions {
  const { role } = options ?? {};
  if (role !== 'server' && role !== 'client') throw invalid('"role" must be "server" or "client".');
  return {
    server: role === 'server',
    certificateChains: chains(options),
    ca: text(options, 'ca'),
    ...cipherOptions(options),
    sigalgs: text(options, 'sigalgs'),
    groups: options.ecdhCurve === 'auto' ? undefined : text(options, 'ecdhCurve'),
    ...nameOptions(options),
    alpn: encodeAlpn(options.ALPNProtocols),
    requestCert: requests(options.requestCert),
  };
}

/** @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT for what is not bytes */
export function checkBytes(name: string, value: unknown): void {
  if (!isUint8Array(value)) throw invalid(`"${name}" must be a Uint8Array.`);
}

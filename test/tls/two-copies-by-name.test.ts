/**
 * Two copies of the package at one server: one has made its context, the other the one that is chosen late, or the one that is
 * given to setKeyCert() meanwhile. OpenSSL keeps keys of all of them, one of each kind, and may take any.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, describe, it } from 'node:test';
import tls, { type TlsOptions } from 'node:tls';
import * as ours from '../../lib/index.ts';
import { anotherCopy, type Copy, LINKS, own } from '../helpers/another-copy.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';

type Kind = 'rsa' | 'p256';

const KINDS: readonly Kind[] = ['rsa', 'p256'];
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
/** So that a client takes the key of either kind. */
const SIGALGS: Readonly<Record<Kind, string>> = { rsa: 'RSA-PSS+SHA256', p256: 'ECDSA+SHA256' };

/** What a server has of three contexts, each with a certificate of its own. */
type Place = 'base' | 'chosen' | 'given';
let authority: Authority;
let issued: Record<Place, Record<Kind, Issued>>;

before(async () => {
  authority = await makeAuthority();
  const both = async () => ({
    rsa: await authority.issue({ type: 'rsa' }),
    p256: await authority.issue({ type: 'p256' }),
  });
  issued = { base: await both(), chosen: await both(), given: await both() };
});

/** Who makes a context; `undefined`: node:tls. */
type Maker = Copy | undefined;

interface Part {
  readonly maker: Maker;
  readonly kind: Kind;
}

/** The parts of a server; without `chosen`, its SNICallback chooses none. */
type Setup = Partial<Record<Place, Part>> & { readonly base: Part };

function optionsOf({ maker, kind }: Part, place: Place): TlsOptions {
  const of = issued[place][kind];
  return (maker ? own(maker, of) : { cert: of.certPem, key: of.keyPem }) as TlsOptions;
}

function contextOf(part: Part | undefined, place: Place): tls.SecureContext | undefined {
  const make = (part?.maker ?? tls).createSecureContext as typeof tls.createSecureContext;
  return part && make(optionsOf(part, place));
}

/** When setKeyCert() is called. */
type Moment = 'asked for a protocol' | 'asked for a name' | 'just after the choice';

function serverOf({ base, chosen, given }: Setup, moment: Moment, maxVersion: tls.SecureVersion): tls.Server {
  const make = (base.maker ?? tls).createServer as typeof tls.createServer;
  const contexts = { chosen: contextOf(chosen, 'chosen'), given: contextOf(given, 'given') };
  const give = (socket: tls.TLSSocket, now: Moment) => {
    if (contexts.given !== undefined && now === moment) socket.setKeyCert(contexts.given);
  };
  const ALPNCallback = function (this: tls.TLSSocket) {
    give(this, 'asked for a protocol');
    return 'a';
  };
  const SNICallback = function (
    this: unknown,
    _: string,
    done: (error: null, context?: tls.SecureContext) => void,
  ) {
    give(this as tls.TLSSocket, 'asked for a name');
    done(null, contexts.chosen);
    give(this as tls.TLSSocket, 'just after the choice');
  };
  return make({
    ...optionsOf(base, 'base'),
    ...(given && { ALPNCallback }),
    maxVersion,
    SNICallback,
  } as TlsOptions);
}

/** @returns which certificate the client gets, or why the server has none for it */
async function visit(server: tls.Server, sigalgs: string): Promise<string> {
  const failure = once(server, 'tlsClientError').then(([error]) => String(error.code));
  const client = tls.connect({
    port: await listen(server),
    host: '127.0.0.1',
    servername: 'other.example',
    ALPNProtocols: ['a'],
    sigalgs,
    rejectUnauthorized: false,
  });
  const refused = new Promise<string>((resolve) => {
    client.on('error', () => resolve(failure));
  });
  const served = once(client, 'secureConnect').then(() => nameOf(client.getPeerX509Certificate()?.raw));
  const outcome = await Promise.race([served, refused]);
  client.destroy();
  await close(server);
  return outcome;
}

function nameOf(certificate: Buffer | undefined): string {
  for (const [place, kinds] of Object.entries(issued)) {
    for (const [kind, { certDer }] of Object.entries(kinds))
      if (certificate?.equals(certDer)) return `${place} ${kind}`;
  }
  return 'another';
}

/** All ways to take one of each list. */
function product<T>(lists: readonly (readonly T[])[]): T[][] {
  return lists.reduce<T[][]>((rows, list) => rows.flatMap((row) => list.map((each) => [...row, each])), [[]]);
}

const NAMES = ['node', 'ours', 'theirs'] as const;
type Name = (typeof NAMES)[number];

/** Which of its kinds two or three contexts have, so that OpenSSL keeps a key that another context has not replaced. */
const KINDS_OF: Readonly<Record<number, readonly (readonly Kind[])[]>> = {
  2: product([KINDS, KINDS]),
  3: [['rsa', 'p256', 'rsa']],
};

/** @returns what does not come out as natively, by who has made the contexts and of which kinds their keys are */
async function differences(
  theirs: Copy,
  places: readonly Place[],
  moment: Moment,
  version: tls.SecureVersion,
) {
  const makers: Record<Name, Maker> = { node: undefined, ours, theirs };
  const found: Record<string, string> = {};
  for (const kinds of KINDS_OF[places.length]!) {
    const setup = (names: readonly Name[]) =>
      Object.fromEntries(places.map((place, at) => [place, { maker: makers[names[at]!], kind: kinds[at]! }]));
    for (const sigalgs of Object.values(SIGALGS)) {
      const look = (names: readonly Name[]) =>
        visit(serverOf(setup(names) as unknown as Setup, moment, version), sigalgs);
      const native = await look(['node', 'node', 'node']);
      for (const names of product(places.map(() => NAMES))) {
        const outcome = await look(names);
        if (outcome !== native) found[`${names} ${kinds} ${sigalgs}`] = `${outcome}, natively ${native}`;
      }
    }
  }
  return found;
}

const SETUPS: readonly (readonly [string, readonly Place[], Moment])[] = [
  ['chosen by name', ['base', 'chosen'], 'asked for a name'],
  ['given', ['base', 'given'], 'asked for a protocol'],
  [
    'given when asked for a protocol, and another chosen',
    ['base', 'chosen', 'given'],
    'asked for a protocol',
  ],
  ['given when asked for a name, and another chosen', ['base', 'chosen', 'given'], 'asked for a name'],
  ['given just after another was chosen', ['base', 'chosen', 'given'], 'just after the choice'],
];

describe('the copies share a binary', () => {
  let theirs: Copy;
  before(async () => {
    theirs = await anotherCopy(LINKS['a hard link']!);
  });

  for (const [setup, places, moment] of SETUPS) {
    for (const version of VERSIONS) {
      it(`a context is ${setup}, ${version}: as natively, whoever has made which`, async () => {
        assert.deepEqual(await differences(theirs, places, moment, version), {});
      });
    }
  }
});

it('a context of the other copy that is chosen by name brings its authorities and revocation lists', async () => {
  const theirs = await anotherCopy(LINKS['a hard link']!);
  const { certPem, keyPem } = await authority.issue({ type: 'p256', usage: 'client' });
  const crl = await authority.revoke([{ certPem }]);
  const chosen = theirs.createSecureContext({
    ...own(theirs, issued.chosen.rsa),
    ca: authority.certPem,
    crl,
  });
  const server = ours.createServer({
    ...own(ours, issued.base.p256),
    SNICallback: (_, done) => done(null, chosen),
    requestCert: true,
    rejectUnauthorized: false,
  });
  const port = await listen(server);
  const identity = { cert: certPem, key: keyPem, servername: 'other.example', rejectUnauthorized: false };
  const client = tls.connect({ port, host: '127.0.0.1', ...identity });
  const [socket] = (await once(server, 'secureConnection')) as [tls.TLSSocket];
  assert.equal(String(socket.authorizationError), 'CERT_REVOKED');
  client.destroy();
  await close(server);
});

it('each copy has a binary of its own: as natively, whoever has made which', async () => {
  const theirs = await anotherCopy(LINKS['a file of its own']!);
  for (const version of VERSIONS) {
    assert.deepEqual(await differences(theirs, ['base', 'chosen'], 'asked for a name', version), {});
  }
});

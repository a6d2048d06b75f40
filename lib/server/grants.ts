/**
 * Who may what: the clients of a key server, by their certificates, and what each may have signed.
 *
 * A key server without grants serves every client of its authority with every key. With them, whoever is not named is
 * turned away at the door, and what a client was not granted looks to it like what does not exist.
 */
import type { Clock } from '../clock.ts';
import type { RecognisedContext } from '../protocol/handshake-message.ts';
import { type ClientRateOptions, ClientRates } from './client-rates.ts';
import { Clients } from './clients.ts';
import type { KeysOptions } from './key-rules.ts';
import type { PeerIdentity } from './peer-identity.ts';
import type { Refusal } from './refusals.ts';
import { ticketGroupsOf } from './ticket-groups.ts';
import type { TicketGroup } from './ticket-keys.ts';

/** What one client may. */
export interface ClientOptions extends ClientRateOptions {
  /** For logs and metrics. */
  readonly name: string;
  /** A subject alternative name (`DNS:…`, `URI:…`) or a public-key pin (`sha256/…`); one that fits is enough. */
  readonly identities: readonly string[];
  /** 40 hexadecimal digits each; `undefined`: every key. */
  readonly keys?: readonly string[] | undefined;
  /** Host names, or `*.` and a domain for one label more; `undefined`: any, also none at all. */
  readonly servernames?: readonly string[] | undefined;
  /** Of what it may have signed; `undefined`: what the key is for. */
  readonly contexts?: readonly (RecognisedContext | 'digest')[] | undefined;
  /** Decryption of premasters, where the key server does it at all; default true. */
  readonly decrypt?: boolean | undefined;
  /** The group of edges whose session-ticket keys it gets; `undefined`: none. */
  readonly tickets?: { readonly group: string } | undefined;
}

export interface GrantsOptions {
  readonly clients: readonly ClientOptions[];
  /** What single keys are for; those that are not here: as the key server's options say. */
  readonly keys?: KeysOptions | undefined;
  /** Names, pins or certificate fingerprints that are turned away, whatever else is said of them. */
  readonly revoked?: readonly string[] | undefined;
  /**
   * 0 to 4,294,967,295, default 0; another one gives every group other session-ticket keys. It is raised when something is
   * taken out of `revoked`: the keys of before the revocation would come back, and who was revoked may have kept them.
   */
  readonly ticketGeneration?: number | undefined;
}

/** What a request is about. */
export interface Asked {
  readonly kind: 'sign' | 'decrypt';
  /** 40 hexadecimal digits. */
  readonly keyId: string;
  /** Peer-supplied; `undefined`: none. */
  readonly servername: string | undefined;
  readonly context: RecognisedContext | 'digest' | undefined;
}

/** What a client may at all, some name and rate permitting: what it is told of. */
export interface Scope {
  /** 40 hexadecimal digits each, lower case; `undefined`: every key. */
  readonly keys: ReadonlySet<string> | undefined;
  /** `undefined`: what the keys are for. */
  readonly contexts: ReadonlySet<RecognisedContext | 'digest'> | undefined;
  readonly decrypts: boolean;
}

/** One client's rights. Owner: the grants; its connections share it. */
export interface Grant {
  readonly name: string;
  readonly scope: Scope;
  /** @returns why not; `undefined`: it may, its rates permitting */
  deny(asked: Asked): Refusal | undefined;
  /** Counts an operation with a key against its rates. @returns `rate`: it is one too many */
  count(keyId: string): 'rate' | undefined;
  /** Whose ticket keys it may have; `undefined`: none. */
  readonly ticketGroup: TicketGroup | undefined;
  /** @returns whether one more operation is within its rate */
  take(): boolean;
}

/** Of a host name (RFC 1035 §2.3.4, RFC 5890 §2.3.1), or with the underscores that some have. */
const LABEL = /^[a-z0-9_-]{1,63}$/;

function isServername(pattern: string, servername: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === servername;
  const dot = servername.indexOf('.');
  return LABEL.test(servername.slice(0, Math.max(0, dot))) && servername.slice(dot) === pattern.slice(1);
}

class ClientGrant implements Grant {
  readonly name: string;
  readonly ticketGroup: TicketGroup | undefined;
  readonly scope: Scope;
  readonly #servernames: readonly string[] | undefined;
  readonly rates: ClientRates;

  constructor(options: ClientOptions, ticketGroup: TicketGroup | undefined, clock: Clock) {
    this.name = options.name;
    this.ticketGroup = ticketGroup;
    this.scope = {
      keys: options.keys && new Set(options.keys.map((key) => key.toLowerCase())),
      contexts: options.contexts && new Set(options.contexts),
      decrypts: options.decrypt !== false,
    };
    this.#servernames = options.servernames?.map((name) => name.toLowerCase());
    this.rates = new ClientRates(options, clock);
  }

  deny({ kind, keyId, servername, context }: Asked): Refusal | undefined {
    if (this.scope.keys?.has(keyId) === false) return 'key-not-granted';
    if (!this.#allowsName(servername?.toLowerCase())) return 'name-not-granted';
    const allowed = kind === 'sign' ? this.#allowsContext(context) : this.scope.decrypts;
    return allowed ? undefined : 'context-not-allowed';
  }

  count(keyId: string): 'rate' | undefined {
    return this.rates.takeWith(keyId) ? undefined : 'rate';
  }

  take(): boolean {
    return this.rates.take();
  }

  #allowsContext(context: Asked['context']): boolean {
    const { contexts } = this.scope;
    return contexts === undefined || (context !== undefined && contexts.has(context));
  }

  #allowsName(servername: string | undefined): boolean {
    if (this.#servernames === undefined) return true;
    return servername !== undefined && this.#servernames.some((pattern) => isServername(pattern, servername));
  }
}

/** No limit at all; but no ticket keys, which belong to a group. */
export const EVERYTHING: Grant = {
  name: 'any',
  scope: { keys: undefined, contexts: undefined, decrypts: true },
  deny: () => undefined,
  count: () => undefined,
  ticketGroup: undefined,
  take: () => true,
};

/** Finds the grant of a client. A new policy makes new grants, which continue from those before. */
export class Grants {
  readonly #clients: Clients;
  readonly #grants: ReadonlyMap<ClientOptions, ClientGrant>;
  readonly #open: boolean;

  /** @param options `undefined`: every client of the authority may everything */
  constructor(options: GrantsOptions | undefined, clock: Clock) {
    const { clients, revoked, ticketGeneration } = options ?? { clients: [] };
    this.#open = options === undefined;
    this.#clients = new Clients({ clients, revoked });
    const groups = ticketGroupsOf({ clients, revoked, ticketGeneration });
    const groupOf = ({ tickets }: ClientOptions) => tickets && groups.get(tickets.group);
    this.#grants = new Map(
      clients.map((client) => [client, new ClientGrant(client, groupOf(client), clock)]),
    );
  }

  /** They come in the place of others: a client that both have goes on with its rates. */
  continueFrom(before: Grants): void {
    for (const [client, { rates }] of this.#grants) {
      const was = before.#clients.named(client.identities);
      const grant = was && before.#grants.get(was);
      if (grant !== undefined) rates.continueFrom(grant.rates);
    }
  }

  /** @returns `undefined`: this client is not to be served */
  find(identity: PeerIdentity): Grant | undefined {
    if (this.#open) return this.#clients.isRevoked(identity) ? undefined : EVERYTHING;
    const client = this.#clients.find(identity);
    return client && this.#grants.get(client);
  }
}

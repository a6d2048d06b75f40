/**
 * The edges of `keyless-tls init`: their certificates, and their places in the policy.
 *
 * Only an edge that was never made here gets a place. A renewal widens nothing: who is revoked, or was taken out of the
 * policy, is not renewed, and who is known by its key stays the client that it is.
 */
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { Clients } from '../server/clients.ts';
import type { ClientOptions } from '../server/grants.ts';
import { comparableIdentity } from '../server/identity-name.ts';
import { identityOf } from '../server/peer-identity.ts';
import type { CertificateAuthority, Credentials } from './certificate-authority.ts';
import type { NewFiles } from './new-files.ts';
import { editPolicy, type PolicyDraft, policyText } from './policy-edit.ts';
import { replaceFile } from './replaced-file.ts';

export interface EdgesPlan {
  readonly edges: readonly string[];
  readonly days: number;
  /** Also those that there are. */
  readonly renew: boolean;
  /** The edges were found, not named. */
  readonly due: boolean;
  /** Path of the policy file, which is made if it is not there. */
  readonly policy: string;
}

/** Edges of one group accept each other's session tickets. */
const TICKET_GROUP = 'edges';
const NO_CLIENTS: PolicyDraft = { version: 1, clients: [] };

/** What did not come about and could have been meant to. */
export interface Refusal {
  /** A sentence. */
  readonly why: string;
  /** Whoever has named it, or sees to the machine, is to know by the exit code. */
  readonly isFailure: boolean;
}

/** What is to be written: nothing has been yet. */
interface Changes {
  policy: PolicyDraft;
  readonly issued: [edge: string, credentials: Credentials][];
  readonly refused: Refusal[];
  /** Those that there are, and will be. */
  readonly edges: string[];
}

function issue(
  authority: CertificateAuthority,
  edge: string,
  dnsNames: readonly string[],
  days: number,
): Credentials {
  return authority.issue({ commonName: edge, dnsNames, usage: 'client', keyType: 'ec', days });
}

export function edgeCertificate(files: NewFiles, edge: string): ReturnType<NewFiles['certificate']> {
  return files.certificate(`edges/${edge}/edge.crt`, `edges/${edge}/edge.key`);
}

const isSame = (one: string, other: string) => comparableIdentity(one) === comparableIdentity(other);

const identityOfEdge = (edge: string) => `DNS:${edge}`;

function hasIdentity({ clients }: PolicyDraft, identity: string): boolean {
  return clients.some(({ identities }) => identities.some((each) => isSame(each, identity)));
}

/** Why there can be no new edge of that name, and what to do; `undefined`: there can. */
function obstacle({ policy, edges }: Changes, edge: string, path: string): string | undefined {
  const identity = identityOfEdge(edge);
  if (policy.revoked?.some((each) => isSame(each, identity))) {
    return `it is revoked in ${path}. Give the edge another name, or take that one out of "revoked" there.`;
  }
  const twin = edges.find((each) => each !== edge && isSame(identityOfEdge(each), identity));
  if (twin !== undefined) {
    return `edges/${twin} has that name, and is the same client: upper and lower case do not count. Give it another one.`;
  }
  if (hasIdentity(policy, identity) || policy.clients.every(({ name }) => name !== edge)) return undefined;
  return `${path} has another client of that name. Give the edge, or that client, another one.`;
}

function withEdge(policy: PolicyDraft, edge: string): PolicyDraft {
  const identity = identityOfEdge(edge);
  if (hasIdentity(policy, identity)) return policy;
  const client = { name: edge, identities: [identity], tickets: { group: TICKET_GROUP } };
  return { ...policy, clients: [...policy.clients, client] };
}

/** Puts a new edge into the changes, or why there is none. */
function add(changes: Changes, authority: CertificateAuthority, plan: EdgesPlan, edge: string): void {
  const why = obstacle(changes, edge, plan.policy);
  if (why !== undefined) {
    changes.refused.push({ why: `edges/${edge} is not made: ${why}`, isFailure: true });
    return;
  }
  changes.policy = withEdge(changes.policy, edge);
  changes.edges.push(edge);
  changes.issued.push([edge, issue(authority, edge, [edge], plan.days)]);
}

function withIdentity(policy: PolicyDraft, client: ClientOptions, identity: string): PolicyDraft {
  const clients = policy.clients.map((each) =>
    each === client ? { ...each, identities: [...each.identities, identity] } : each,
  );
  return { ...policy, clients };
}

/** @returns what init makes; `undefined`: the certificate has other names, or none */
function dnsNamesOf(names: readonly string[]): string[] | undefined {
  const dns = names.filter((name) => name.startsWith('DNS:')).map((name) => name.slice('DNS:'.length));
  return dns.length > 0 && dns.length === names.length ? dns : undefined;
}

/** Puts a renewal into the changes, or why there is none. */
function renew(
  changes: Changes,
  authority: CertificateAuthority,
  { days, policy: path, due }: EdgesPlan,
  edge: string,
  certificate: X509Certificate,
): void {
  if (!existsSync(path)) {
    changes.refused.push({
      why: `edges/${edge} is not renewed: there is no ${path}. Give the policy with --policy.`,
      isFailure: true,
    });
    return;
  }
  const refuse = (why: string) =>
    changes.refused.push({
      why: `edges/${edge} is not renewed: ${why}. Take that folder away if the edge is gone.`,
      // A timer goes on with the edges that were renewed; whoever named one wants to know.
      isFailure: !due,
    });
  const was = identityOf(certificate);
  const clients = new Clients(changes.policy);
  if (clients.isRevoked(was)) return void refuse(`it is revoked in ${path}`);
  const client = clients.find(was);
  if (client === undefined) return void refuse(`${path} does not name it`);
  const dnsNames = dnsNamesOf(was.names);
  if (dnsNames === undefined) return void refuse('its certificate has names that init does not make');
  const credentials = issue(authority, edge, dnsNames, days);
  changes.issued.push([edge, credentials]);
  const is = identityOf(new X509Certificate(credentials.certPem));
  // Both keys count until the edge has the new one: it would be turned away in between.
  if (clients.find(is) !== client) changes.policy = withIdentity(changes.policy, client, is.pin);
}

/** Of an edge that there is. */
function renewOrKeep(
  changes: Changes,
  authority: CertificateAuthority,
  plan: EdgesPlan,
  edge: string,
  certificate: X509Certificate,
): void {
  if (plan.renew) {
    renew(changes, authority, plan, edge, certificate);
    return;
  }
  if (new Clients(changes.policy).find(identityOf(certificate)) !== undefined) return;
  const why = `edges/${edge} is there, but ${plan.policy} does not name it, or it is revoked.`;
  changes.refused.push({ why, isFailure: false });
}

function changesOf(
  files: NewFiles,
  authority: CertificateAuthority,
  plan: EdgesPlan,
  policy: PolicyDraft,
): Changes {
  const changes: Changes = { policy, issued: [], refused: [], edges: files.names('edges') };
  for (const edge of plan.edges) {
    const found = edgeCertificate(files, edge);
    if (found === undefined) add(changes, authority, plan, edge);
    else if (found instanceof X509Certificate) renewOrKeep(changes, authority, plan, edge, found);
    else {
      const what = 'Put it back; or take that folder away, and make the edge anew with --edge.';
      const why = `edges/${edge}/edge.crt cannot be used: ${found.message}. ${what}`;
      changes.refused.push({ why, isFailure: true });
    }
  }
  return changes;
}

function writeEdges(files: NewFiles, { issued }: Changes): void {
  for (const [edge, { certPem, keyPem }] of issued) {
    const folder = `edges/${edge}`;
    files.folder(folder);
    files.write({ [`${folder}/edge.key`]: keyPem, [`${folder}/edge.crt`]: certPem });
  }
}

/** Also to those that were made before: who made them may have been interrupted. */
function giveAuthority(files: NewFiles, { certPem }: CertificateAuthority, edges: readonly string[]): void {
  for (const folder of edges.map((edge) => `edges/${edge}`)) {
    if (!files.has(`${folder}/edge.crt`) || files.has(`${folder}/ca.crt`)) continue;
    files.write({ [`${folder}/ca.crt`]: certPem });
  }
}

/**
 * The policy first: an edge with a new key that it does not name would be turned away.
 *
 * @returns which edges did not get what they could have been meant to get
 */
export async function makeEdges(
  files: NewFiles,
  authority: CertificateAuthority,
  plan: EdgesPlan,
): Promise<readonly Refusal[]> {
  const { policy: path } = plan;
  const make = (policy: PolicyDraft, write: (next: PolicyDraft) => void) => {
    const changes = changesOf(files, authority, plan, policy);
    if (changes.policy !== policy) {
      write(changes.policy);
      files.tell(path);
    }
    writeEdges(files, changes);
    giveAuthority(files, authority, plan.edges);
    return changes.refused;
  };
  if (existsSync(path)) return editPolicy(path, make);
  return make(NO_CLIENTS, (next) => replaceFile(path, policyText(next)));
}

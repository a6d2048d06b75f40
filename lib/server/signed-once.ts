/**
 * One message is signed once. The client that had it signed may ask again, when the answer was lost with its connection: it
 * gets the signature that was made, or that is being made. Whoever else asks is refused, and so is what asks for anything else.
 */
import { Bag, type InBag, OUTSIDE } from '../bag.ts';
import type { SignRequest } from '../protocol/request-decoder.ts';
import type { Asking, Outcome, PatientAsker } from './asking.ts';
import type { Grant } from './grants.ts';
import type { StoredKey } from './key-store.ts';
import type { RecentSignatures } from './recent-signatures.ts';
import type { ReplayGuard, ReplayTicket } from './replay-guard.ts';
import { RequestName } from './request-name.ts';

/** All who wait for one signature: who asked first, and who asks again meanwhile. `private` as in request-name.ts. */
class Askers implements PatientAsker {
  private readonly first: Asking;
  private others: Asking[] | undefined;

  constructor(first: Asking) {
    this.first = first;
  }

  get client(): string {
    return this.first.client;
  }

  join(asking: Asking): void {
    if (this.others === undefined) this.others = [asking];
    else this.others.push(asking);
  }

  wanted(): boolean {
    return this.stillThere !== undefined;
  }

  waitedMs(): number {
    return this.first.waitedMs();
  }

  /** Of one that is still there: a connection that has gone does not hear of a new policy. */
  grant(): Grant {
    return (this.stillThere ?? this.first).grant();
  }

  private get stillThere(): Asking | undefined {
    return this.first.wanted() ? this.first : this.others?.find((each) => each.wanted());
  }
}

interface UnderWay extends InBag {
  readonly name: RequestName;
  /** `undefined`: it waits for nothing, whoever asks. */
  readonly askers: Askers | undefined;
  readonly outcome: Promise<Outcome>;
}

export interface ToSign {
  readonly request: SignRequest;
  /** By which the message is known; see signed-digests.ts. */
  readonly digests: readonly [Uint8Array, ...Uint8Array[]];
  readonly key: StoredKey;
}

export class SignedOnce {
  readonly #guard: ReplayGuard;
  readonly #recent: RecentSignatures;
  /** Of each client that waits for any. */
  readonly #underWay = new Map<string, Bag<UnderWay>>();

  constructor(guard: ReplayGuard, recent: RecentSignatures) {
    this.#guard = guard;
    this.#recent = recent;
  }

  /** Milliseconds that messages are remembered, now. */
  get windowMs(): number {
    return this.#guard.windowMs;
  }

  /** @param sign is called if it was not signed yet; a string: it was not signed now, and may be tried again */
  run(
    { request, digests, key }: ToSign,
    asking: Asking,
    sign: (asker: PatientAsker) => Outcome | Promise<Outcome>,
  ): Outcome | Promise<Outcome> {
    const { client } = asking;
    const name = new RequestName(request, key.keyId, digests[0]);
    const ticket = this.#guard.take(digests, client);
    if (ticket === undefined) return this.#again(name, asking);
    // What waits for no turn has no use for who else asks.
    const askers = key.workplace === undefined ? undefined : new Askers(asking);
    const outcome = sign(askers ?? asking);
    if (!(outcome instanceof Promise)) return this.#keep(name, client, ticket, outcome);
    const end = (result: Outcome): Outcome => {
      this.#end(underWay, client);
      return this.#keep(name, client, ticket, result);
    };
    const settled = outcome.then(end, () => end('failed'));
    const underWay: UnderWay = { name, askers, outcome: settled, place: OUTSIDE };
    this.#begin(underWay, client);
    return settled;
  }

  #again(name: RequestName, asking: Asking): Outcome | Promise<Outcome> {
    const { client } = asking;
    // Repeats are rare, and a client has no more requests under way than it may have in hand.
    const underWay = this.#underWay.get(client)?.find((each) => each.name.equals(name));
    const answer = underWay?.outcome ?? this.#recent.find(name, client);
    // It is of somebody else, or for something else, or of long ago: also where fingerprints alone were the same.
    if (answer === undefined) return 'replayed';
    asking.repeats = true;
    underWay?.askers?.join(asking);
    return answer;
  }

  #begin(underWay: UnderWay, client: string): void {
    let all = this.#underWay.get(client);
    if (all === undefined) {
      all = new Bag();
      this.#underWay.set(client, all);
    }
    all.add(underWay);
  }

  #end(underWay: UnderWay, client: string): void {
    const all = this.#underWay.get(client)!;
    all.delete(underWay);
    if (all.size === 0) this.#underWay.delete(client);
  }

  #keep(name: RequestName, client: string, ticket: ReplayTicket, outcome: Outcome): Outcome {
    if (typeof outcome === 'string') ticket.release();
    else this.#recent.keep(name, client, outcome);
    return outcome;
  }
}

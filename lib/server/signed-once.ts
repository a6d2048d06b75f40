/**
 * One message is signed once. The client that had it signed may ask again, when the answer was lost with its connection: it
 * gets the signature that was made, or that is being made. Whoever else asks is refused, and so is what asks for anything else.
 */
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

interface UnderWay {
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
  /** By client and name. */
  readonly #underWay = new Map<string, UnderWay>();

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
    const place = placeOf(name, client);
    const end = (result: Outcome): Outcome => {
      this.#underWay.delete(place);
      return this.#keep(name, client, ticket, result);
    };
    const settled = outcome.then(end, () => end('failed'));
    this.#underWay.set(place, { askers, outcome: settled });
    return settled;
  }

  #again(name: RequestName, asking: Asking): Outcome | Promise<Outcome> {
    const { client } = asking;
    const underWay = this.#underWay.get(placeOf(name, client));
    const answer = underWay?.outcome ?? this.#recent.find(name, client);
    // It is of somebody else, or for something else, or of long ago: also where fingerprints alone were the same.
    if (answer === undefined) return 'replayed';
    asking.repeats = true;
    underWay?.askers?.join(asking);
    return answer;
  }

  #keep(name: RequestName, client: string, ticket: ReplayTicket, outcome: Outcome): Outcome {
    if (typeof outcome === 'string') ticket.release();
    else this.#recent.keep(name, client, outcome);
    return outcome;
  }
}

function placeOf(name: RequestName, client: string): string {
  return `${client} ${name.bytes().toString('latin1')}`;
}
